"""What a learner has solved, kept in the workspace so that it outlives kernels and servers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from labs_lib import registry, settings
from labs_lib.verdict import Verdict


def record(verdict: Verdict, seed: int, workspace: Path) -> None:
    """Keep a verdict: the latest of each step. Written whole or not at all."""
    path = workspace / "progress.json"
    with filelock.FileLock(workspace / ".progress.lock"):
        steps = load(workspace)
        steps[verdict.step] = {
            "status": verdict.status,
            "points": verdict.points,
            "max_points": verdict.max_points,
            "seed": seed,
            "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(dict(sorted(steps.items())), indent=1))
        scratch.replace(path)


def load(workspace: Path) -> dict[str, dict[str, Any]]:
    """Verdicts kept in a workspace by step; none if there are none. A damaged file is set aside, not overwritten."""
    path = workspace / "progress.json"
    try:
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError:
        path.replace(path.with_suffix(".damaged"))
        return {}


@dataclass(frozen=True)
class Progress:
    """All modules with the state of their steps; shows itself as a table."""

    steps: dict[str, dict[str, Any]]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from labs_lib import cards

        return {"text/html": cards.progress_html(self.steps), "text/plain": cards.progress_text(self.steps)}

    def __repr__(self) -> str:
        from labs_lib import cards

        return cards.progress_text(self.steps)

    @property
    def solved(self) -> int:
        """How many steps are solved."""
        return sum(step["status"] == "pass" for step in self.steps.values())


def progress() -> Progress:
    """The learner's progress over all modules."""
    known = {
        step.id for module in registry.modules() for exercise in module.exercises for step in exercise.steps
    }
    return Progress({name: state for name, state in load(settings.workspace()).items() if name in known})
