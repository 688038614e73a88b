"""A test bench, in a child process of the judge's (`Observer.program`): a learner's tests run against many variants of one module.

This file is that child's program as a whole, so it uses the standard library alone at its top. The tests are a stranger's code, and what this process
says of them may be forged. So it knows of no variant whether it is a right one: variants have no names, they come in an order that the judge draws,
each is written to the same path, and all are run alike.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import linecache
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TEXT = 240  # characters of what is told of an error
TOLD = 60  # tests that are told of one run


class Bench:
    """A project with a learner's tests in it.

    With `tables`, those that a run leaves behind are told, and dropped: "all" that were not there before, where nobody else uses this server, or
    those that the tests "named" in their texts, where other notebooks may make tables meanwhile.
    """

    def __init__(self, files: Mapping[str, str], tables: str = "") -> None:
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        sys.dont_write_bytecode = (
            True  # two variants of one size within one second would be one to Python's cache
        )
        self._root = Path("retail").absolute()
        for path, text in files.items():
            target = self._root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        os.chdir(self._root)
        sys.path.insert(0, str(self._root / "src"))
        self._which = tables
        self._texts = "\n".join(text for path, text in files.items() if path.startswith("tests/"))
        self._before = self._tables() if tables else set()

    def run(
        self, path: str, text: str, tests: str, words: Sequence[str], measured: str = ""
    ) -> dict[str, Any]:
        """Put a variant at `path` and run the tests below `tests` whose names hold one of `words` (all for none), up to the first that fails.

        The answer: `tests`, a row of name, phase and outcome for each; `problem`, why they could not be collected; `collected`, how many there
        are; `properties`, how many of them are hypothesis's; `left`, schemas and tables that the tests left behind; `branches`, the
        share of the branches of the file `measured` that were taken.
        """
        (self._root / path).write_text(text, encoding="utf-8")
        self._forget()
        recorder = Recorder(words)
        told: dict[str, Any] = {}
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            if measured:
                told["branches"], told["lines"] = self._measured(measured, recorder, tests)
            else:
                self._pytest(recorder, tests)
        if recorder.started is False:
            recorder.problem = recorder.problem or _last(out.getvalue() + err.getvalue())
        told |= {
            "tests": recorder.rows[:TOLD],
            "problem": recorder.problem[:TEXT],
            "collected": recorder.collected,
            "properties": recorder.properties,
            "left": self._left() if self._which else [],
        }
        return told

    def _pytest(self, recorder: Recorder, tests: str) -> None:
        import pytest

        plugins = (
            "cacheprovider",
            "unraisableexception",
            "threadexception",
            "randomly",
        )  # the second collects garbage, for 0.3 s
        options = [
            "-q",
            "-x",
            "--no-header",
            "--tb=line",
            *(part for name in plugins for part in ("-p", f"no:{name}")),
        ]
        options += [
            "-p",
            "_hypothesis_pytestplugin",
            "-o",
            "addopts=",
            "--rootdir",
            str(self._root),
            "-c",
            os.devnull,
        ]
        pytest.main([*options, tests], plugins=[recorder])

    def _measured(self, measured: str, recorder: Recorder, tests: str) -> tuple[float, float]:
        import json

        import coverage

        watch = coverage.Coverage(
            branch=True, data_file=None, include=[str(self._root / measured)], config_file=False
        )
        watch.start()
        try:
            self._pytest(recorder, tests)
        finally:
            watch.stop()
        report = self._root.parent / "measured.json"
        try:
            watch.json_report(outfile=str(report))
        except coverage.exceptions.CoverageException:  # nothing of the file ran
            return 0.0, 0.0
        told = json.loads(report.read_text())["totals"]
        lines = told["covered_lines"] / max(1, told["num_statements"])
        return told.get("covered_branches", 0) / max(1, told.get("num_branches", 0)), lines

    def _forget(self) -> None:
        """Have the next run import everything of the project anew."""
        root = str(self._root)
        for name, module in list(sys.modules.items()):
            origin = getattr(module, "__file__", None) or next(
                iter(getattr(module, "__path__", None) or []), ""
            )
            if isinstance(origin, str) and origin.startswith(root):
                del sys.modules[name]
        importlib.invalidate_caches()
        linecache.clearcache()

    def _spark(self) -> Any:
        from labs_lib.engine import session

        return session.connection().spark

    def _tables(self) -> set[tuple[str, str]]:
        spark = self._spark()
        databases = [row[0] for row in spark.sql("SHOW DATABASES").collect()]
        found = {(name, "") for name in databases}
        for name in databases:
            rows = spark.sql(f"SHOW TABLES IN `{name}`").collect()
            found |= {(name, row.tableName) for row in rows if not row.isTemporary}
        return found

    def _left(self) -> list[str]:
        spark, now = self._spark(), self._tables()
        left = {
            each
            for each in now - self._before
            if self._which == "all" or self._named(each[0]) or self._named(each[1])
        }
        for database, table in sorted(left, key=lambda each: not each[1]):
            kind = (
                f"TABLE IF EXISTS `{database}`.`{table}`"
                if table
                else f"DATABASE IF EXISTS `{database}` CASCADE"
            )
            spark.sql(f"DROP {kind}")
        return [f"{database}.{table}" if table else database for database, table in sorted(left)][:20]

    def _named(self, name: str) -> bool:
        """Whether the tests speak of a schema or table of that name, other than a module's own schema, which isn't theirs."""
        from labs_lib import registry

        rooms = "|".join(registry.room(module.name) for module in registry.modules())
        own = re.fullmatch(rf"default|({rooms})(_[0-9a-f]{{6}})?", name)
        return bool(name and not own and re.search(rf"\b{re.escape(name)}\b", self._texts))


class Recorder:
    """A plugin of pytest that chooses tests by their names and keeps what becomes of each."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.rows: list[list[str]] = []
        self.problem = ""
        self.collected = self.properties = 0
        self.started = False

    def pytest_collectreport(self, report: Any) -> None:
        """A file that can't be imported."""
        if report.failed and not self.problem:
            self.problem = f"{Path(report.nodeid).name}: {_last(str(report.longrepr), -1)}"

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Keep those that name what is tried."""
        self.collected = len(items)
        self.properties = sum(
            bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False)) for item in items
        )
        if self._words:
            items[:] = [item for item in items if any(word in item.name for word in self._words)]

    def pytest_runtestloop(self, session: Any) -> None:
        """Collecting went well."""
        self.started = True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Each phase of a test that ended: all calls, and of the others those that failed."""
        if report.when == "call" or report.outcome == "failed":
            self.rows.append(
                [
                    report.nodeid.rsplit("::", 1)[-1][:120],
                    report.when,
                    report.outcome,
                    _last(str(report.longrepr)) if report.failed else "",
                ]
            )


def _last(text: str, which: int = 0) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line.removeprefix("E ").strip() for line in lines if line.startswith("E ")]
    return (told[which] if told else lines[-1] if lines else "")[:TEXT]
