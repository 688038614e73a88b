"""Exercise 2b, resilient pipelines: its checks, which stand by topic in modules of their own."""

from labs_lib.patterns.checks.quality import judge_2b_1, judge_2b_2, observe_2b_1, observe_2b_2
from labs_lib.patterns.checks.recovery import judge_2b_5, observe_2b_5
from labs_lib.patterns.checks.resilience import (
    judge_2b_3,
    judge_2b_4,
    observe_2b_3,
    observe_2b_4,
)

__all__ = [
    "judge_2b_1",
    "judge_2b_2",
    "judge_2b_3",
    "judge_2b_4",
    "judge_2b_5",
    "observe_2b_1",
    "observe_2b_2",
    "observe_2b_3",
    "observe_2b_4",
    "observe_2b_5",
]
