"""What a pipeline's Python file defines, read from its text: the file is the learner's and is not run for it."""

from __future__ import annotations

import ast


def datasets(source: str, decorator: str, call: str = "") -> list[str]:
    """Names of the datasets that a source defines by a decorator, such as `materialized_view`, or by a call, such as `create_streaming_table`.

    `dp.table(changes)` is the decorator as well as `@dp.table`. A dataset is named by the decorator's or call's argument `name`, or
    after its function. None if the text is not Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = []
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names += [
                _name_of(each) or node.name for each in node.decorator_list if _called(each) == decorator
            ]
        elif isinstance(node, ast.Call) and call and _called(node) == call:
            names.append(_name_of(node))
        elif isinstance(node, ast.Call):
            with_names = isinstance(node.func, ast.Call)  # dp.table(name="changes")(function)
            decorates = _called(node.func if with_names else node) == decorator
            decorated = {each.id for each in node.args[:1] if isinstance(each, ast.Name)} & functions
            names += [_name_of(node.func) or each for each in decorated if decorates]
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
