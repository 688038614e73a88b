"""What a run of the tests draws from the proofs under LABS_DRAW: the rest of it is marked `proof`, and runs in `make attacks`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from grader.proof.draw import Draw, draw
from labs_lib import registry

ROOT = Path(__file__).resolve().parents[1]
SEED = int(os.environ["LABS_DRAW"])
MODULES = [module for module in registry.modules() if module.written]
EXERCISES = [exercise for module in MODULES for exercise in module.exercises if exercise.written]


def drawn() -> Draw:
    """The draw of this run."""
    return draw(ROOT, MODULES, EXERCISES, SEED)


def of_module(module: str, *values: Any) -> Any:
    """A parameter set about one module; marked `proof` unless that module is drawn."""
    return pytest.param(
        module, *values, id=module, marks=() if module == drawn().module else pytest.mark.proof
    )
