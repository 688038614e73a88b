"""What a grader's box keeps of a step beside its evidence: tables without which a DataFrame's plan can't be made again elsewhere.

Below `kept/<step>/tables/<database>/<table>` those of the learner's own tables that its plans read and that are no Delta tables of
the lab's database; below `kept/<step>/answers/<name>` the rows of a DataFrame whose plan grading refuses, or can't resolve. All of it
is Delta, so that one rule vets it. It runs among the learner's code: whoever reads it believes nothing but that it is data.
"""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from deltalake import write_deltalake
from deltalake.exceptions import DeltaError
from pyspark.errors import PySparkException

import datasets
from labs_lib.checking.evidence import ROW_BYTES, ROW_LIMIT, Evidence, holds_plans
from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.registry import Step
from labs_lib.vetting import statements
from labs_lib.vetting.text import Rejected

TABLES = 20  # of one step

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_ODD = (PySparkException, DeltaError, OSError, ValueError, TypeError, NotImplementedError)


def what_plans_need(step: Step, evidence: Evidence, namespace: Mapping[str, Any], lab: Lab) -> None:
    """Keep a step's tables and rows in the lab's folder, as far as they can be kept; what can't be is missed by the judge."""
    folder = lab.folder / "kept" / step.id
    shutil.rmtree(folder, ignore_errors=True)
    if not holds_plans(step):
        return  # without a look at the session, which would start a server for it
    scene = statements.scene_of(evidence.views, lab.database)
    read = set(scene.tables)
    frames = [
        a.name for a in step.answers if a.kind == "dataframe" and not a.given and a.name in evidence.answers
    ]
    whole = True
    for plan in _plans(evidence):
        try:
            read |= statements.check_answer(base64.b64decode(plan), scene)[1]
        except Rejected:
            continue
    for database, table in list(_own_tables(read, scene.used, lab))[:TABLES]:
        try:
            if not (_NAME.fullmatch(database) and _NAME.fullmatch(table)) or table in datasets.TABLES:
                raise LabsError(f"{database}.{table} has a name that does not travel.")
            frame = lab.spark.table(f"`{database}`.`{table}`")
            frame.write.format("delta").mode("overwrite").save(str(folder / "tables" / database / table))
        except (LabsError, *_ODD):
            whole = False
    for name in frames:
        if evidence.answers[name]["refused"] or not whole:
            with contextlib.suppress(*_ODD):
                rows = namespace[name].limit(ROW_LIMIT).toArrow()
                if rows.nbytes <= ROW_BYTES:
                    write_deltalake(folder / "answers" / name, rows)


def _plans(evidence: Evidence) -> Iterator[str]:
    for answer in evidence.answers.values():
        for each in answer if isinstance(answer, list) else [answer]:
            if isinstance(each, dict) and isinstance(each.get("plan"), str):
                yield each["plan"]


def _own_tables(read: set[tuple[str, ...]], used: Collection[str], lab: Lab) -> Iterator[tuple[str, str]]:
    """Database and name of those tables among the names that are read that do not travel as the lab's own.

    A name alone may be one of the current database or, in a view, of one that was current before (`used`).
    """
    current = {lab.spark.catalog.currentDatabase(), *used}
    places = {(each, parts[-1]) for parts in read for each in (parts[-2:-1] or sorted(current))}
    for database, name in sorted(places):
        lies = database == lab.database and (lab.tables / name / "_delta_log").is_dir()
        if lies or database == "global_temp":
            continue
        try:
            found = lab.spark.catalog.getTable(".".join(f"`{part}`" for part in (database, name)))
        except PySparkException:
            continue  # a temporary view, or a query's own name for a part of it
        if not found.isTemporary and found.tableType in {"MANAGED", "EXTERNAL"}:
            yield database, name
