"""Exercise 3b, deployment: its checks, which stand by topic in modules of their own."""

from labs_lib.cicd.checks.bundle import judge_3b_2, observe_3b_2
from labs_lib.cicd.checks.lifecycle import judge_3b_5, observe_3b_5
from labs_lib.cicd.checks.release import judge_3b_4, observe_3b_4
from labs_lib.cicd.checks.terraform import judge_3b_3, observe_3b_3
from labs_lib.cicd.checks.workflow import judge_3b_1, observe_3b_1

__all__ = [
    "judge_3b_1",
    "judge_3b_2",
    "judge_3b_3",
    "judge_3b_4",
    "judge_3b_5",
    "observe_3b_1",
    "observe_3b_2",
    "observe_3b_3",
    "observe_3b_4",
    "observe_3b_5",
]
