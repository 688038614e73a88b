"""Which of Python's built-in names a notebook has hidden: after `from pyspark.sql.functions import *`, `sum` is Spark's."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any


def sentence(namespace: Mapping[str, Any]) -> str:
    """Names the built-in names that a namespace hides, and by what, in a sentence or two; empty if it hides none."""
    hidden = {
        name: _origin(value)
        for name, value in namespace.items()
        if not name.startswith("_") and name in vars(builtins) and _inner(value) is not vars(builtins)[name]
    }
    sparks = sorted(name for name, origin in hidden.items() if origin == "pyspark")
    own = sorted(name for name, origin in hidden.items() if origin == "own")
    told: list[str] = []
    if sparks:
        told.append(
            f"{_listed(sparks)} {_are(sparks)} here not Python's but from pyspark.sql.functions, as after `from pyspark.sql.functions import *`: "
            f"run `del {', '.join(sparks)}` and write `F.{sparks[-1]}` for Spark's, with `from pyspark.sql import functions as F`."
        )
    if own:
        told.append(
            f"{_listed(own)} {_are(own)} a variable of this notebook and hide{'s' if len(own) == 1 else ''} Python's: "
            f"rename {'it' if len(own) == 1 else 'them'} and run `del {', '.join(own)}`."
        )
    return " ".join(told)


def _inner(value: Any) -> Any:
    """What a value wraps: IPython's `open` is Python's in a wrapper."""
    return getattr(value, "__wrapped__", value)


def _origin(value: Any) -> str:
    """Who put a value under a built-in's name: `pyspark`, IPython as it always does (`shell`), or the notebook (`own`)."""
    module = str(getattr(value, "__module__", "") or "").split(".")[0]
    return {"pyspark": "pyspark", "IPython": "shell", "ipykernel": "shell"}.get(module, "own")


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
