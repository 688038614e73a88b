"""What a learner has solved, kept in the workspace so that it outlives kernels and servers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from labs_lib import registry, settings
from labs_lib.checking import cards
from labs_lib.checking.verdict import Verdict
from labs_lib.errors import LabsError


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
    """Verdicts kept in a workspace by step; none if there are none. A damaged file is set aside, not overwritten.

    Raises LabsError if the file can't be read.
    """
    path = workspace / "progress.json"
    try:
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError:
        path.replace(path.with_suffix(".damaged"))
        return {}
    except OSError as error:
        raise LabsError(
            f"The progress in {path} can't be read ({error.strerror}); let LABS_WORKSPACE name a folder that you can read."
        ) from None


@dataclass(frozen=True)
class Progress:
    """The state of steps, and the modules to show; shows itself as a table."""

    steps: dict[str, dict[str, Any]]
    modules: tuple[registry.Module, ...]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": cards.progress_html(self.steps, self.modules), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return cards.progress_text(self.steps, self.modules)

    @property
    def solved(self) -> int:
        """How many steps are solved."""
        return sum(step["status"] == "pass" for step in self.steps.values())


def progress(module: str | None = None) -> Progress:
    """The learner's progress in one module, such as `01_optimization`, or in all of them.

    Raises LabsError if there is no module of that name.
    """
    modules = registry.modules() if module is None else (registry.module(module),)
    known = {step.id for each in modules for step in registry.steps(each)}
    kept = load(settings.workspace())
    return Progress({name: state for name, state in kept.items() if name in known}, modules)
