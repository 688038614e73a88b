"""Exercise 5b, resources: its checks, which stand by topic in modules of their own."""

from labs_lib.resource_management.checks.policies import judge_5b_3, observe_5b_3
from labs_lib.resource_management.checks.pools import judge_5b_2, observe_5b_2
from labs_lib.resource_management.checks.quotas import judge_5b_4, observe_5b_4
from labs_lib.resource_management.checks.teams import judge_5b_1, observe_5b_1
from labs_lib.resource_management.checks.utilization import judge_5b_5, observe_5b_5

__all__ = [
    "judge_5b_1",
    "judge_5b_2",
    "judge_5b_3",
    "judge_5b_4",
    "judge_5b_5",
    "observe_5b_1",
    "observe_5b_2",
    "observe_5b_3",
    "observe_5b_4",
    "observe_5b_5",
]
