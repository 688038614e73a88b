"""Exercise 3a, testing: its checks, which stand by topic in modules of their own."""

from labs_lib.cicd.checks.automation import judge_3a_4, observe_3a_4
from labs_lib.cicd.checks.integration import judge_3a_2, observe_3a_2
from labs_lib.cicd.checks.quality import judge_3a_3, observe_3a_3
from labs_lib.cicd.checks.review import judge_3a_5, observe_3a_5
from labs_lib.cicd.checks.units import judge_3a_1, observe_3a_1

__all__ = [
    "judge_3a_1",
    "judge_3a_2",
    "judge_3a_3",
    "judge_3a_4",
    "judge_3a_5",
    "observe_3a_1",
    "observe_3a_2",
    "observe_3a_3",
    "observe_3a_4",
    "observe_3a_5",
]
