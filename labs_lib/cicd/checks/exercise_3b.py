"""Exercise 3b, deployment: its checks, which stand by topic in modules of their own."""

from labs_lib.cicd.checks.lifecycle import judge_3b_5, observe_3b_5
from labs_lib.cicd.checks.workflow import judge_3b_1, observe_3b_1

__all__ = [
    "judge_3b_1",
    "judge_3b_5",
    "observe_3b_1",
    "observe_3b_5",
]
