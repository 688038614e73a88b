"""Exercise 2a, processing patterns: its checks, which stand by topic in modules of their own."""

from labs_lib.patterns.checks.changes import judge_2a_1, judge_2a_2, observe_2a_1, observe_2a_2
from labs_lib.patterns.checks.streams import (
    judge_2a_3,
    judge_2a_4,
    judge_2a_5,
    observe_2a_3,
    observe_2a_4,
    observe_2a_5,
)

__all__ = [
    "judge_2a_1",
    "judge_2a_2",
    "judge_2a_3",
    "judge_2a_4",
    "judge_2a_5",
    "observe_2a_1",
    "observe_2a_2",
    "observe_2a_3",
    "observe_2a_4",
    "observe_2a_5",
]
