"""Exercise 5a, advanced queries: its checks, which stand by topic in modules of their own."""

from labs_lib.resource_management.checks.cached import judge_5a_4, observe_5a_4
from labs_lib.resource_management.checks.documented import judge_5a_5, observe_5a_5
from labs_lib.resource_management.checks.pruned import judge_5a_3, observe_5a_3
from labs_lib.resource_management.checks.skewed import judge_5a_2, observe_5a_2
from labs_lib.resource_management.checks.slow import judge_5a_1, observe_5a_1

__all__ = [
    "judge_5a_1",
    "judge_5a_2",
    "judge_5a_3",
    "judge_5a_4",
    "judge_5a_5",
    "observe_5a_1",
    "observe_5a_2",
    "observe_5a_3",
    "observe_5a_4",
    "observe_5a_5",
]
