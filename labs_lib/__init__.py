"""What the course's notebooks import. Names load on first use: a command that needs no Spark never imports it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "LabsError": "labs_lib.errors",
    "bars": "labs_lib.measuring.plots",
    "check": "labs_lib.checking.checker",
    "measure": "labs_lib.measuring.spark_ui",
    "open_lab": "labs_lib.lab",
    "outline": "labs_lib.measuring.spark_ui",
    "plan_graph": "labs_lib.measuring.plots",
    "progress": "labs_lib.checking.progress_file",
    "ranges": "labs_lib.measuring.plots",
    "run_pipeline": "labs_lib.pipelines",
    "spark_conf": "labs_lib.engine.session",
    "table_with_a_past": "labs_lib.optimization.past",
    "write_pipeline": "labs_lib.pipelines",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'labs_lib' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
