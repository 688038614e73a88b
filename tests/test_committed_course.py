"""The drift gate on the course itself: what is committed is what its sources build, and gives no answer away."""

from __future__ import annotations

from pathlib import Path

from grader.drift import drift


def test_the_committed_notebooks_are_what_their_sources_build() -> None:
    assert drift(Path(__file__).resolve().parent.parent) == []
