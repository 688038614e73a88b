"""Judges submissions' evidence, one after the other, in a process and a sandbox of the judge's own.

Called as `python -m grader.judging.judge_inside INBOX [DOOR]` in the box; definitions are tried in boxes from that door, and where
there are no boxes, in processes of this one's user. A submission is a folder INBOX/<n>, n = 0, 1, ..., with
`plan.json` (what to judge), `evidence`, `tables`, `kept` and `reference.json` (the solution's evidence; empty when the solution
itself is judged). Writes `out/<n>/<step>.json` after each step and `out/<n>/done.json` at the end. The check functions
are the notebook's own, the server is one that no learner's code has run on.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyspark.sql.connect.proto as proto
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException

import datasets
from grader.judging.redrawn import redraw, shape
from grader.sandbox.children import boxed_child
from grader.vetting import TRUSTED_SERVER_CONF, Rejected, check_table
from grader.vetting.admit import admit, taken_over
from grader.vetting.removal import remove_or_say
from labs_lib import lab, registry, settings
from labs_lib.checking.checker import blame_earlier_step, examine, judge
from labs_lib.checking.evidence import Evidence, Unusable, columns_of
from labs_lib.checking.observer import Measured, Observer
from labs_lib.checking.verdict import Status, Verdict
from labs_lib.driving.driver import NotStarted
from labs_lib.driving.launch import Launch, plain_child
from labs_lib.engine import server, session
from labs_lib.engine.clock import of_everybody
from labs_lib.engine.sql import literal
from labs_lib.errors import LabsError, first_line
from labs_lib.registry import Step

HUNG = 124  # exit code after a step that took too long; timeout(1)'s own
LOST = 123  # exit code when the engine ended under a step
IDLE = 1800.0  # seconds without a submission after which the judge ends by itself
LOOK_EVERY = 0.05  # seconds between looks into the inbox
LATE_EVERY = 0.5  # seconds between looks at how long a step takes

Tables = Mapping[tuple[str, str], Path]  # Delta tables by database and name

_MEASURED: Measured = {}
_FOLLOWING: dict[
    tuple[str, str], set[str]
] = {}  # rows of the solution's plans on redrawn tables, by step and answer


@dataclass
class Court:
    """One submission's tables and the lab that they are laid in, once there is evidence. An engine starts at its first use.

    `clean` tells whether nothing of it had to be refused and nothing unforeseen happened.
    """

    module: str
    seed: int
    course_tables: list[str]
    folder: Path
    launch: Launch
    refused: dict[str, str] = field(default_factory=dict)
    is_open: bool = False
    clean: bool = True
    laid: list[str] = field(default_factory=list)  # tables of the step at hand, beside the lab's own
    traces: bool = False  # whether something was made that the server knows beyond the session
    redrawn: frozenset[str] = frozenset()  # course tables of which another draw is laid

    @property
    def database(self) -> str:
        """The name of the lab's own database, in the learner's box as here."""
        return registry.room(self.module)

    def enter(self, evidence: Evidence, tables: Tables | None = None, redrawn: Iterable[str] = ()) -> lab.Lab:
        """A lab in a session that nobody has used, with the settings, views, functions and variables of that evidence.

        `tables` are vetted Delta tables by database and name, which these or its plans read. Of the course tables `redrawn` another
        draw is there, the same for as long as this judge lives.
        """
        if not self.is_open:
            self._lay_own_tables()
        session.close()
        opened = lab.open_lab(self.module, seed=self.seed)
        if not self.is_open:
            for name in self.course_tables:
                opened.load(name)
            self.is_open = True
        if session.connected() and opened.database != self.database:
            sys.exit(
                "The database has another name than in the notebook, so plans that name it would not find it."
            )
        self._lay_course_tables(opened, frozenset(redrawn))
        if self.traces:
            self._remove_traces(opened)
        self.traces = bool(tables or evidence.views)
        for (database, name), path in (tables or {}).items():
            opened.spark.sql(f"CREATE DATABASE IF NOT EXISTS `{database}`")
            table = f"`{database}`.`{name}`"
            if not opened.spark.catalog.tableExists(table):  # else it came along as one of the lab's own
                opened.spark.sql(f"CREATE TABLE {table} USING delta LOCATION '{path}'")
                self.laid.append(table)
        for name, value in taken_over(evidence.conf).items():
            opened.spark.conf.set(name, value)
        for text in evidence.views:
            command = proto.Command.FromString(base64.b64decode(text))
            try:
                opened.spark.client.execute_command(command)
            except PySparkException:
                continue  # a view over what is gone: a plan that needs it will say so
        return opened

    def _lay_course_tables(self, opened: lab.Lab, redrawn: frozenset[str]) -> None:
        """Bring the catalog in line with which draw of the course tables is wanted; the files of both stay."""
        for name in sorted(self.redrawn ^ redrawn):
            opened.spark.sql(f"DROP TABLE IF EXISTS {name}")
            if name in redrawn:
                path = Path.cwd() / "redrawn" / name
                try:
                    if not path.exists():
                        redraw(opened.path(name), path)
                except (OSError, DeltaError) as error:
                    sys.exit(
                        f"Another draw of {name} can't be made: {error}"
                    )  # nobody's answer is wrong because of that
                opened.spark.sql(f"CREATE TABLE {name} USING delta LOCATION {literal(path)}")
            else:
                opened.load(name)
        self.redrawn = redrawn

    def table_of(self, step: Step) -> None:
        """Raises Rejected if a table that the step answers with was refused."""
        for answer in step.answers:
            if answer.kind == "table" and (sentence := self.refused.get(answer.name.lower())):
                raise Rejected(sentence)

    def kept(self, step: Step) -> tuple[dict[str, Path], Tables]:
        """The vetted tables that the box kept for a step: rows of DataFrame answers by name, and tables that its plans read."""
        folder = self.folder.parent / "kept" / step.id
        rows = {path.name: path for path in sorted(folder.glob("answers/*")) if self._is_table(path)}
        tables = {
            (path.parent.name, path.name): path
            for path in sorted(folder.glob("tables/*/*"))
            if path.name not in datasets.TABLES and path.parent.name != "global_temp" and self._is_table(path)
        }
        return rows, tables

    def _is_table(self, folder: Path) -> bool:
        try:
            check_table(folder)
        except Rejected:
            self.clean = False
            return False
        return True

    def _remove_traces(self, opened: lab.Lab) -> None:
        """Take off the server what a step's statements and tables left there, so that the next one finds none of it."""
        spark = opened.spark
        for table in self.laid:
            spark.sql(f"DROP TABLE IF EXISTS {table}")
        self.laid.clear()
        databases = [row[0] for row in spark.sql("SHOW DATABASES").collect()]
        for name in (name for name in databases if name not in ("default", opened.database)):
            spark.sql(f"DROP DATABASE `{name}` CASCADE")
        for name in ("default", opened.database, "global_temp"):
            for row in spark.sql(f"SHOW VIEWS IN `{name}`").collect():
                if not row.isTemporary or name == "global_temp":
                    spark.sql(f"DROP VIEW IF EXISTS `{name}`.`{row.viewName}`")
        for name in ("default", opened.database):
            for row in spark.sql(f"SHOW USER FUNCTIONS IN `{name}`").collect():
                spark.sql(f"DROP FUNCTION IF EXISTS {row[0]}")

    def leave(self) -> None:
        """Take the submission's tables, views and caches off the server."""
        if self.is_open and server.running():
            session.close()
            opened = lab.open_lab(self.module, seed=self.seed)
            if self.traces:
                self._remove_traces(opened)
            opened.spark.catalog.clearCache()
            opened.spark.sql("USE default")
            opened.spark.sql(f"DROP DATABASE {opened.database} CASCADE")
            session.close()
            lab.forget()  # else the next submission's first connection made this one's database again, and its own had another name
        remove_or_say(settings.workspace())

    def _lay_own_tables(self) -> None:
        own = settings.workspace() / self.module / "tables"
        own.mkdir(parents=True)
        for folder in sorted(self.folder.iterdir()):
            if not (folder / "_delta_log").is_dir():
                continue  # a Parquet table of a lesson, which no check reads
            try:
                check_table(folder)
                shutil.copytree(folder, own / folder.name)
            except Rejected as refusal:
                self.clean = False
                self.refused[folder.name] = f"The table {folder.name} was refused: {refusal}"


def main(box: Path, inbox: Path, launch: Launch) -> None:
    """Judge submission after submission, until none comes any more."""
    settings.SPARK_CONF.update(TRUSTED_SERVER_CONF)
    number = 0
    while _comes(inbox / str(number)):
        # A folder of its own: nothing that the engine remembers of one submission's files fits another's.
        os.environ["LABS_WORKSPACE"] = str(box / "workspace" / str(number))
        out = box / "out" / str(number)
        out.mkdir()
        clean = _judge_steps(inbox / str(number), out, launch)
        _write(out / "done.json", {"clean": clean})
        number += 1


def _comes(folder: Path) -> bool:
    deadline = time.monotonic() + IDLE
    while not folder.is_dir():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True


def _judge_steps(folder: Path, out: Path, launch: Launch) -> bool:
    """Judge the steps that the plan names, in order; tells whether the submission was clean."""
    plan = json.loads((folder / "plan.json").read_text())
    court = Court(
        plan["module"], plan["seed"], plan["course_tables"], folder / "tables", launch, plan["refused"]
    )
    reference = _reference(folder / "reference.json")
    solved = set(plan["solved"])
    for name in plan["steps"]:
        step = registry.step(name)
        # A thread of its own, because a query without end can't be left from within.
        judged = threading.Event()
        threading.Thread(target=_end_if_late, args=(judged, plan["patience"]), daemon=True).start()
        # Nor does that thread run while a regular expression is matched, say: the kernel then ends this process by SIGPROF. It counts
        # this process's own seconds of CPU, of all its threads, so that no busy machine makes it early.
        signal.setitimer(signal.ITIMER_PROF, 2 * plan["patience"])
        began = time.perf_counter()
        if solved.issuperset(step.needs):
            verdict, evidence = _judged(
                step, folder / "evidence" / f"{name}.json", court, reference.get(name)
            )
        else:  # nothing that could be found would count
            verdict, evidence = _nothing(step, "blocked", ""), None
        judged.set()
        signal.setitimer(signal.ITIMER_PROF, 0)
        if not verdict.passed and server.recorded() and server.running() is None:
            os._exit(LOST)  # the engine's end says nothing about this answer: another judge has to look at it
        verdict = blame_earlier_step(verdict, step, solved).timed(time.perf_counter() - began)
        solved |= {name} if verdict.passed else set()
        _write(
            out / f"{name}.json",
            {"verdict": asdict(verdict), "evidence": asdict(evidence) if evidence else None},
        )
    court.leave()
    return court.clean


def _end_if_late(judged: threading.Event, patience: float) -> None:
    clock = of_everybody()
    while not judged.wait(LATE_EVERY):
        if clock.passed() > patience:
            os._exit(HUNG)


def _write(path: Path, value: object) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(value))
    scratch.replace(path)


def _reference(path: Path) -> dict[str, Evidence]:
    stored = json.loads(path.read_text())
    return {
        name: Evidence(**{**each, "views": tuple(each["views"]), "missing": ()})
        for name, each in stored.items()
    }


def _judged(step: Step, path: Path, court: Court, given: Evidence | None) -> tuple[Verdict, Evidence | None]:
    if not path.exists():
        return _nothing(
            step, "unanswered", "There is no evidence: the check cell did not run to its end."
        ), None
    try:
        kept, tables = court.kept(step)
        evidence = admit(step, path, court.seed, given, court.database, kept)
        if not (evidence.missing or evidence.problems):
            evidence = _looked_at(step, evidence, given, court, kept, tables)
            if given is not None:
                evidence = _following(step, evidence, given, court, tables)
        return judge(step, evidence, given.digests if given else None), evidence
    except Rejected as refusal:
        court.clean = False
        return _nothing(step, "fail", str(refusal)), None
    except NotStarted:
        raise  # it ends this judge, and the step is another one's
    except (
        Exception
    ) as error:  # whatever a crafted answer makes a check raise costs that step and nothing else
        court.clean = False
        return _nothing(
            step, "fail", f"The answer can't be judged: {type(error).__name__}: {first_line(error)}"
        ), None


def _looked_at(
    step: Step,
    evidence: Evidence,
    given: Evidence | None,
    court: Court,
    kept: Mapping[str, Path],
    tables: Tables,
) -> Evidence:
    opened = court.enter(evidence, tables)
    court.table_of(step)
    evidence = _with_columns(step, evidence, opened, kept)
    if evidence.problems:
        return evidence
    if given is None or not any(answer.given for answer in step.answers):
        return examine(step, evidence, opened, trusting=False, launch=court.launch)
    # What a lesson gives is looked at as the solution had it: a view of the learner's could stand in for its tables.
    try:
        digests = Observer(step, evidence, opened, trusting=False).digests()
    except (LabsError, Unusable, PySparkException) as error:
        return replace(evidence, problems={"": first_line(error)})
    # Runs of the course's own on the course's own tables are the same for every learner: measured once.
    for captured in (given.answers[answer.name] for answer in step.answers if answer.given):
        if isinstance(captured, dict) and _reads_course_tables_only(captured.get("plan", "")):
            _MEASURED.setdefault((step.id, captured["plan"]), None)
    opened = court.enter(given)
    looked = examine(
        replace(step, compare=()), evidence, opened, trusting=False, measured=_MEASURED, launch=court.launch
    )
    return replace(looked, digests=digests)


def _following(step: Step, evidence: Evidence, given: Evidence, court: Court, tables: Tables) -> Evidence:
    """Evidence with a problem for each answer whose rows don't follow the course table that they have to come from.

    Rows that are right, and those of measured runs, have to be right on another draw of it too, where the solution's plan tells what
    is right; wrong ones have to be others there, at least.
    """
    following = [
        answer
        for answer in step.answers
        if answer.follows and not (answer.kind == "dataframe" and _is_refused(evidence.answers[answer.name]))
    ]
    if not following or evidence.problems:
        return evidence
    redrawn = {answer.follows for answer in following}
    if unknown := [answer for answer in following if (step.id, answer.name) not in _FOLLOWING]:
        observer = Observer(step, given, court.enter(given, redrawn=redrawn), trusting=False)
        _FOLLOWING.update({(step.id, answer.name): observer.rows(answer.name) for answer in unknown})
    observer = Observer(step, evidence, court.enter(evidence, tables, redrawn), trusting=False)
    problems = {}
    for answer in following:
        name, right = answer.name, _FOLLOWING[step.id, answer.name]
        here = evidence.digests.get(name)
        try:
            there = observer.rows(name)
        except (Unusable, PySparkException) as error:
            problems[name] = f"On another draw of {answer.follows}: {first_line(error)}"
            continue
        if there != right and (here == given.digests.get(name) or here in there):
            problems[name] = (
                f"The rows of `{name}` don't follow {answer.follows}: on another draw of that table, which no notebook has seen, "
                "the same plan does not give what the task asks for. Let it work them out from the table."
            )
    return replace(evidence, problems=problems)


def _is_refused(captured: Any) -> bool:
    return isinstance(captured, dict) and bool(captured.get("refused"))


def _plans(evidence: Evidence, name: str) -> set[str]:
    """The plans of a DataFrame or of measured runs by their shape, with the statements that made what they may read."""
    captured = evidence.answers[name]
    plans = {each["plan"] for each in (captured if isinstance(captured, list) else [captured])}
    return {f"{shape(plan)}{evidence.views}" for plan in plans if _reads_course_tables_only(plan)} | {
        plan for plan in plans if not _reads_course_tables_only(plan)
    }


def _reads_course_tables_only(plan: str) -> bool:
    text = str(proto.Plan.FromString(base64.b64decode(plan)))
    names = re.findall(r'named_table \{\s+unparsed_identifier: "(.*)"', text)
    return bool(names) and "sql {" not in text and all(name in datasets.TABLES for name in names)


def _with_columns(step: Step, evidence: Evidence, opened: lab.Lab, kept: Mapping[str, Path]) -> Evidence:
    """DataFrame answers with the columns that this session finds; by its kept rows one that it can't analyse."""
    answers, problems = dict(evidence.answers), {}
    observer = Observer(step, replace(evidence, answers=answers), opened, trusting=False)
    for answer in step.answers:
        if answer.kind != "dataframe" or answer.given:
            continue
        name, captured = answer.name, answers[answer.name]
        try:
            try:
                columns = columns_of(observer.frame(name))
            except PySparkException as error:
                if "kept" in captured or name not in kept:
                    raise
                reason = f"Spark can't analyse it there: {first_line(error)}"
                captured = {**captured, "refused": reason, "kept": str(kept[name])}
                answers[name] = captured
                columns = columns_of(observer.frame(name))
            answers[name] = {**captured, "columns": columns}
        except (PySparkException, Unusable) as error:
            problems[name] = f"Spark can't analyse `{name}`: {first_line(error)}"
    return replace(evidence, answers=answers, problems=problems)


def _nothing(step: Step, status: Status, sentence: str) -> Verdict:
    return Verdict(step.id, step.title, status, 0, step.points, sentence, hints=step.hints)


if __name__ == "__main__":
    main(
        Path.cwd(),
        Path(sys.argv[1]),
        functools.partial(boxed_child, Path(sys.argv[2])) if sys.argv[2:] else plain_child,
    )
