"""What a pipeline's Python file defines, read from its text: the file is the learner's and is not run for it."""

from __future__ import annotations

import ast


def datasets(source: str, decorator: str, call: str = "") -> list[str]:
    """Names of the datasets that a source defines by a decorator, such as `materialized_view`, or by a call, such as `create_streaming_table`.

    A dataset is named by the decorator's or call's argument `name`, or after its function. None if the text is not Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names += [
                _name_of(each) or node.name for each in node.decorator_list if _called(each) == decorator
            ]
        elif isinstance(node, ast.Call) and call and _called(node) == call:
            names.append(_name_of(node))
    return [name for name in names if name]


def _called(node: ast.expr) -> str:
    """The last part of the name that is called or decorates: `table` of `dp.table(...)`."""
    name = node.func if isinstance(node, ast.Call) else node
    return str(getattr(name, "attr", getattr(name, "id", "")))


def _name_of(call: ast.expr) -> str:
    """The dataset's name among a call's arguments: by keyword, or in front."""
    if not isinstance(call, ast.Call):
        return ""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "name"] or call.args[:1]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else ""
