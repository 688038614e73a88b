"""The course itself: what is committed is what its sources build, gives no answer away, and runs without answers."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from grader.course import paths
from grader.course.drift import drift
from grader.course.notebook import read
from labs_lib import registry
from labs_lib.checking import progress_file
from tests.drawn import MODULES, ROOT, of_module


def test_the_committed_notebooks_are_what_their_sources_build() -> None:
    assert drift(ROOT) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_steps_heading_is_its_title_in_the_registry(module: registry.Module) -> None:
    text = paths.source_file(ROOT, module.name).read_text(encoding="utf-8")
    headings = re.findall(r"^# ### Step (\w+\.\d): (.+)$", text, re.MULTILINE)
    assert headings == [(step.id, step.title) for step in registry.steps(module)]


@pytest.mark.parametrize("name", [of_module(module.name) for module in MODULES])
def test_an_untouched_notebook_runs_to_its_end(name: str, tmp_path: Path) -> None:
    """Lessons need no answer: a learner may skip a step, and "Run All" goes through, under any seed, and earns nothing."""
    ran = tmp_path / "ran.ipynb"
    seed = secrets.randbelow(2**31 - 1) + 1
    line = [
        sys.executable,
        "-m",
        "papermill",
        str(paths.learner_file(ROOT, name)),
        str(ran),
        "--no-progress-bar",
        "--parameters",
        "SEED",
        str(seed),
    ]
    environment = os.environ | {"LABS_WORKSPACE": str(tmp_path / "workspace"), "LABS_SCALE": "0.3"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    assert all(cell.execution_count for cell in read(ran).cells if cell.cell_type == "code")
    steps = list(registry.steps(registry.module(name)))
    progress = progress_file.load(tmp_path / "workspace")
    assert {step.id: progress[step.id]["points"] for step in steps} == {step.id: 0 for step in steps}
