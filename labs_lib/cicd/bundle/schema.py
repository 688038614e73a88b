"""What a resource of a bundle may hold: the fields of the SDK's dataclasses, with their types, each wrong one by its line.

The SDK takes seconds to import, so its fields stand in `schema.json` beside this file; `python -m labs_lib.cicd.bundle.schema` writes it anew,
and a test holds it to the SDK that is installed.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from labs_lib.cicd.bundle.tree import BundleError, Node, kind

KINDS = {"jobs": "JobSettings", "clusters": "ClusterSpec"}
# Of a bundle itself, in the same form; `any` is looked at where it is used.
_LEVEL = {"level": "str", "user_name": "str", "group_name": "str", "service_principal_name": "str"}
_WORKSPACE = {"root_path": "str", "file_path": "str", "state_path": "str"}
_PRESETS = {
    "name_prefix": "str",
    "trigger_pause_status": {"enum": ["PAUSED", "UNPAUSED"]},
    "tags": {"map": "str"},
    "jobs_max_concurrent_runs": "int",
}
_RUN_AS = {"user_name": "str", "service_principal_name": "str"}
_COMMON = {
    "workspace": {"ref": "workspace"},
    "permissions": {"list": {"ref": "permission"}},
    "resources": {"ref": "resources"},
    "run_as": {"ref": "run_as"},
    "presets": {"ref": "presets"},
}
OWN: dict[str, dict[str, Any]] = {
    "bundle's file": {
        "bundle": {"ref": "bundle"},
        "include": {"list": "str"},
        "variables": {"map": {"ref": "variable"}},
        "targets": {"map": {"ref": "target"}},
        **_COMMON,
    },
    "bundle": {"name": "str"},
    "variable": {"description": "str", "default": "any", "type": {"enum": ["complex"]}},
    "target": {
        "mode": {"enum": ["development", "production"]},
        "default": "bool",
        "variables": {"map": "any"},
        **_COMMON,
    },
    "workspace": _WORKSPACE,
    "permission": _LEVEL,
    "run_as": _RUN_AS,
    "presets": _PRESETS,
    "resources": {"jobs": {"map": {"ref": "job"}}, "clusters": {"map": {"ref": "cluster"}}},
}
NOT_HERE = (
    "artifacts",
    "sync",
    "experimental",
    "python",
    "scripts",
    "git",
    "compute_id",
    "cluster_id",
    "lookup",
    "uuid",
)
_SIMPLE = {"str": str, "int": int, "bool": bool, "float": (int, float)}


@cache
def fields() -> dict[str, dict[str, Any]]:
    """Types by field, by the name of a dataclass."""
    told: dict[str, dict[str, Any]] = json.loads(files(__package__).joinpath("schema.json").read_text())
    shared = {"permissions": {"list": {"ref": "permission"}}}
    return {**told, **OWN, "job": told["JobSettings"] | shared, "cluster": told["ClusterSpec"] | shared}


def check(node: Node, type_: Any, path: str, open_: bool = False) -> Node:
    """The part as that type has it: a number that came as a word is a number. With `open_` a reference stands for any type.

    Raises BundleError for a key that is unknown and for a value of another type.
    """
    value = node.value
    if type_ == "any" or (open_ and isinstance(value, str) and "${" in value):
        return node
    if isinstance(type_, str):
        return _simple(node, type_, path)
    what, of = next(iter(type_.items()))
    if what == "enum":
        if value not in of:
            raise BundleError(f"{node.at}: {path} is {value!r}; it is one of {', '.join(of)}.")
        return node
    if what == "list":
        _must_be(node, list, path)
        return Node([check(each, of, f"{path}[{n}]", open_) for n, each in enumerate(value)], node.at)
    if value is None and what == "map":
        return Node({}, node.at)
    _must_be(node, dict, path)
    if what == "map":
        return Node({key: check(each, of, f"{path}.{key}", open_) for key, each in value.items()}, node.at)
    known = fields()[of]
    for key, each in value.items():
        if key not in known:
            raise BundleError(f"{each.at}: {_unknown(key, list(known), path, of)}")
    return Node(
        {key: check(each, known[key], f"{path}.{key}".lstrip("."), open_) for key, each in value.items()},
        node.at,
    )


def _simple(node: Node, type_: str, path: str) -> Node:
    value = node.value
    if isinstance(value, str) and type_ != "str":
        for read in (int, float) if type_ == "float" else (int,) if type_ == "int" else ():
            try:
                return Node(read(value), node.at)
            except ValueError:
                continue
        if type_ == "bool" and value in ("true", "false"):
            return Node(value == "true", node.at)
    if type_ == "str" and isinstance(value, int | float) and not isinstance(value, bool):
        return Node(str(value), node.at)
    wanted: Any = _SIMPLE[type_]
    if not isinstance(value, wanted) or (isinstance(value, bool) and type_ != "bool"):
        names = {"str": "text", "int": "a whole number", "bool": "true or false", "float": "a number"}
        raise BundleError(f"{node.at}: {path} is {_short(value)}; it has to be {names[type_]}.")
    return node


def _must_be(node: Node, wanted: type, path: str) -> None:
    if not isinstance(node.value, wanted):
        raise BundleError(
            f"{node.at}: {path or 'the file'} is {_short(node.value)}; it has to be a {kind(wanted())}."
        )


def _short(value: Any) -> str:
    return (
        f"a {kind(value)}"
        if isinstance(value, dict | list)
        else "empty"
        if value is None
        else repr(value)[:60]
    )


def _unknown(key: str, known: list[str], path: str, of: str) -> str:
    place = path or f"a {of}"
    if key in NOT_HERE:
        return f"{place} has {key!r}, which is a bundle's on Databricks; the course's tool knows only {', '.join(sorted(known))}."
    near = get_close_matches(key, known, 1)
    meant = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(sorted(known)[:12])}."
    return f"{place} has no {key!r}; {meant}"


def generated() -> dict[str, dict[str, Any]]:
    """The fields of the SDK that is installed."""
    from databricks.sdk.service import compute, jobs

    found: dict[str, dict[str, Any]] = {}
    todo: list[type] = [jobs.JobSettings, compute.ClusterSpec]
    while todo:
        each = todo.pop()
        if each.__name__ not in found:
            hints = typing.get_type_hints(each)
            found[each.__name__] = {f.name: _type(hints[f.name], todo) for f in dataclasses.fields(each)}
    return dict(sorted(found.items()))


def _type(hint: Any, todo: list[type]) -> Any:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _type(next(each for each in of if each is not types.NoneType), todo)
    if origin is list:
        return {"list": _type(of[0], todo)}
    if origin is dict:
        return {"map": _type(of[1], todo)}
    if dataclasses.is_dataclass(hint):
        todo.append(typing.cast(type, hint))
        return {"ref": hint.__name__}  # type: ignore[union-attr]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    return hint.__name__ if hint in (str, int, bool, float) else "any"


if __name__ == "__main__":
    target = Path(__file__).with_name("schema.json")
    target.write_text(json.dumps(generated(), indent=1) + "\n")
