"""Looking at evidence with an engine: the same code serves the learner's notebook and the grader's judge.

An observation depends on evidence and a lab alone, never on a notebook's variables. In the notebook the lab is the learner's
own; in the grader it is one that no learner's code has run in, with the tables that came out of the sandbox.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyspark.sql.connect.proto as proto
from google.protobuf.message import DecodeError
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.plan import CachedRelation

import datasets
from labs_lib import settings
from labs_lib.checking import digest
from labs_lib.checking.evidence import ROW_BYTES, ROW_LIMIT, Evidence, Unusable
from labs_lib.driving.driver import CALL, Child, Lost, NotStarted
from labs_lib.driving.launch import Launch, plain_child
from labs_lib.errors import first_line
from labs_lib.lab import Lab
from labs_lib.measuring import delta_log, plans, spark_ui, table_history
from labs_lib.registry import Answer, Step

Measured = dict[tuple[str, str], spark_ui.Run | None]  # by step and plan


@dataclass(frozen=True)
class Observer:
    """What a check may ask about one step's evidence.

    `trusting` is true where the figures of a run may be looked up by the tag in the evidence; a judge measures the plan again.
    `measured` has a place for each plan, by step, that need not be measured for every learner anew. `launch` starts what a definition is
    tried in. `lost` fills with the answers whose plan was asked for though it can't be made again, each with the reason.
    """

    step: Step
    evidence: Evidence
    lab: Lab
    trusting: bool = True
    measured: Measured = field(default_factory=dict)
    launch: Launch = plain_child
    lost: dict[str, str] = field(default_factory=dict)
    _contradictions: dict[str, str | None] = field(default_factory=dict, init=False, repr=False)

    def answer(self, name: str) -> Any:
        """A captured answer, as plain data."""
        return self.evidence.answers[name]

    @contextlib.contextmanager
    def child(self, name: str, seconds: float = CALL) -> Iterator[Child]:
        """A new child that holds a definition answer and knows nothing of those before it; `seconds` are for each request.

        Raises Unusable if the definition can't be run by itself. In the block, a request that loses the child raises Lost.
        """
        captured = self.answer(name)
        with self.launch() as channel:
            child = Child(channel, seconds)
            try:
                problem = child.load(captured["source"], name).error
            except Lost as lost:
                raise Unusable(f"`{name}` can't be tried: its source, run by itself, {lost}.") from None
            if problem:
                raise Unusable(
                    f"`{name}` can't be tried: its source, run by itself, ends with {problem}. "
                    "What a definition uses has to stand in the same cell, imports too, and no more than that."
                )
            yield child

    @contextlib.contextmanager
    def program(self, source: str, name: str, seconds: float = CALL, engine: bool = False) -> Iterator[Child]:
        """A new child that holds a function or class of the course's own, which works on what a learner handed in.

        `engine` gives it room for Spark and other programs. Whatever a learner's code in it makes it say is a stranger's word.
        A request that loses the child raises Lost.
        """
        with self.launch(engine=engine) as channel:
            child = Child(channel, seconds)
            if problem := child.load(source, name).error:
                raise NotStarted(f"The program that tries an answer didn't start: {problem}")
            yield child

    def frame(self, name: str) -> DataFrame:
        """A DataFrame answer, in this lab's session. Raises Unusable if its plan can't be read.

        For a judge, one whose plan can't be made again is the table of rows that were kept of it.
        """
        if kept := self.answer(name).get("kept"):
            return self.lab.spark.read.format("delta").load(kept)
        return self._frame(self.answer(name)["plan"])

    def plan(self, name: str) -> plans.Operator:
        """The physical plan that Spark chooses for a DataFrame answer, before it runs. Raises Unusable if there is none.

        One that can't be made again has an empty plan, and is noted: what a check finds in it counts for nothing.
        """
        if reason := self.answer(name).get("refused"):
            self.lost[name] = reason
            return plans.Operator("", "")
        try:
            return plans.parse(self.frame(name)._explain_string(mode="simple"))
        except (PySparkException, ValueError) as error:
            raise Unusable(f"Spark has no plan for `{name}`: {first_line(error)}") from None

    def run(self, name: str) -> spark_ui.Run:
        """What the engine did in the measured run that an answer holds."""
        return self._run(self.answer(name))

    def runs(self, name: str) -> list[spark_ui.Run]:
        """The same for an answer that is a list of runs; a judge measures each different plan once."""
        captured = self.answer(name)
        if self.trusting:
            return [self._run(each) for each in captured]
        measured = {plan: self._run({"plan": plan}) for plan in {each["plan"] for each in captured}}
        return [measured[each["plan"]] for each in captured]

    def path(self, name: str) -> Path:
        """Folder of a table answer. Raises LabsError if it is not there."""
        return self.lab.path(name)

    def log(self, table: str) -> Path:
        """Folder of a table whose history fits its files. Raises Unusable if it doesn't, LabsError if there is no such table."""
        path = self.lab.path(table)
        if table not in self._contradictions:
            self._contradictions[table] = table_history.contradiction(path)
        if said := self._contradictions[table]:
            raise Unusable(said)
        return path

    def facts(self, table: str) -> delta_log.TableFacts:
        """What the log of a table says, an answer or a course table.

        Raises LabsError if it can't be read, and Unusable if it is no course table and its history contradicts its files.
        """
        return delta_log.read(self.lab.path(table) if table in datasets.TABLES else self.log(table))

    def states(self, table: str) -> list[table_history.State]:
        """What a table answer held after each of its commits that acted on files. Raises as `log` does."""
        return table_history.states(self.log(table))

    def digests(self) -> dict[str, str]:
        """Digests of the answers that are compared with the solution's. Raises Unusable if one can't be computed."""
        return {
            answer.name: self._digest(answer)
            for answer in self.step.answers
            if answer.name in self.step.compare
        }

    def rows(self, name: str) -> set[str]:
        """Digests of the rows that the plans of a DataFrame or of measured runs give here. Raises Unusable if one can't be run."""
        answer = next(each for each in self.step.answers if each.name == name)
        if answer.kind == "dataframe":
            return {self._digest(answer)}
        plans = {each["plan"] for each in self.answer(name)}
        return {digest.of_table(self._collected(name, self._frame(plan)), answer.digits) for plan in plans}

    @cached_property
    def sales_queries(self) -> list[str]:
        """The texts of the course's query log under this lab's seed."""
        # From the cache of course tables: building the log means building all transactions first.
        folder = datasets.materialise(
            "query_log", self.evidence.seed, None, "delta", settings.home() / "data"
        )
        return list(delta_log.content(folder)["sql_text"].to_pylist())

    def _digest(self, answer: Answer) -> str:
        if answer.kind == "table":
            content = delta_log.content(self.path(answer.name))
        elif answer.kind == "dataframe":
            content = self._collected(answer.name, self.frame(answer.name))
            if (reason := self.answer(answer.name).get("refused")) and content.nbytes > ROW_BYTES:
                raise Unusable(f"`{answer.name}` was refused: {reason}")  # its rows are too many to be kept
        else:
            content = pa.table({"value": [repr(self.answer(answer.name))]})
        return digest.of_table(content, answer.digits)

    def _collected(self, name: str, frame: DataFrame) -> pa.Table:
        try:
            return frame.limit(ROW_LIMIT).toArrow()
        except PySparkException as error:
            raise Unusable(f"Running `{name}` failed: {first_line(error)}") from None

    def _frame(self, serialised: str) -> DataFrame:
        try:
            plan = proto.Plan.FromString(base64.b64decode(serialised))
        except (DecodeError, ValueError):
            raise Unusable("The plan of the answer can't be read.") from None
        return DataFrame(CachedRelation(plan.root), self.lab.spark)

    def _run(self, captured: dict[str, Any]) -> spark_ui.Run:
        if self.trusting:
            return spark_ui.of_tag(captured["tag"], captured["label"])
        key = (self.step.id, captured["plan"])
        run = self.measured.get(key) or spark_ui.measure(self._frame(captured["plan"]))
        if key in self.measured:
            self.measured[key] = run
        return run
