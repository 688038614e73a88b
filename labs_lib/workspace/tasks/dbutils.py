"""`dbutils` in a notebook task: parameters, values for other tasks, secrets, and an early end with a value.

Source: docs.databricks.com, "Databricks Utilities"; of its parts those are here that jobs use.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, NoReturn

from labs_lib.workspace.tasks.clock import FOLDER


class NotebookExit(Exception):
    """Ends a notebook early, and well."""

    def _render_traceback_(self) -> list[str]:
        return [f"Notebook exited: {self}"]


class _Widgets:
    """The parameters of the task."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:
        self._values.setdefault(name, defaultValue)

    def get(self, name: str) -> str:
        if name not in self._values:
            raise ValueError(
                f"There is no parameter {name!r} in this task; define it by dbutils.widgets.text({name!r}, ...)."
            )
        return self._values[name]

    def getAll(self) -> dict[str, str]:
        return dict(self._values)


class _TaskValues:
    """Values that tasks leave for those that depend on them."""

    def __init__(self, folder: Path, known: dict[str, dict[str, Any]]) -> None:
        self._path, self._known = folder / "values.json", known

    def set(self, key: str, value: Any) -> None:
        values = json.loads(self._path.read_text()) if self._path.exists() else {}
        text = json.dumps(values | {key: value})
        if len(text) > 48 * 1024:
            raise ValueError("The values of a task may have 48 KiB together.")
        self._path.write_text(text)

    def get(self, taskKey: str, key: str, default: Any = None, debugValue: Any = None) -> Any:
        found = self._known.get(taskKey, {}).get(key, default)
        if found is None:
            raise ValueError(f"The task {taskKey!r} left no value {key!r}, and no default is given.")
        return found


class _Jobs:
    def __init__(self, values: _TaskValues) -> None:
        self.taskValues = values


class _Notebook:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def exit(self, value: Any = "") -> NoReturn:
        (self._folder / "exit.txt").write_text(str(value))
        raise NotebookExit(value)


class _Secrets:
    def get(self, scope: str, key: str) -> str:
        return self.getBytes(scope, key).decode()

    def getBytes(self, scope: str, key: str) -> bytes:
        from databricks.sdk import WorkspaceClient

        return base64.b64decode(WorkspaceClient().secrets.get_secret(scope, key).value or "")


class DBUtils:
    """Made once in a notebook task, from what the runner left in the task's folder."""

    def __init__(self) -> None:
        folder = Path(os.environ[FOLDER])
        told = json.loads((folder / "task.json").read_text())
        self.widgets = _Widgets(told["parameters"])
        self.jobs = _Jobs(_TaskValues(folder, told["values"]))
        self.notebook = _Notebook(folder)
        self.secrets = _Secrets()
