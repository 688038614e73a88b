"""Figures of what Spark did, from the REST interface behind the Spark UI.

Source of the fields: Spark's monitoring guide, "REST API" (/applications/<id>/jobs, /stages, /sql).
"""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from pyspark.sql.connect.dataframe import DataFrame

from labs_lib.engine import session
from labs_lib.errors import LabsError
from labs_lib.measuring import plans

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
MEASURED = re.compile(r"run-[0-9a-f]{32}$")  # the tag of a measured run
PATIENCE = 10.0  # seconds that the UI may lag behind the query that has returned


@dataclass(frozen=True)
class Stage:
    """One stage as the UI's Stages tab has it. Times in milliseconds, sizes in bytes."""

    id: int
    name: str
    tasks: int
    run_time: int  # summed over tasks
    input_bytes: int
    input_records: int
    shuffle_read: int
    shuffle_write: int
    spill: int


@dataclass(frozen=True)
class Node:
    """One operator of an executed physical plan, with the figures of the UI's SQL tab."""

    id: int
    name: str
    description: str
    metrics: dict[str, int]


@dataclass(frozen=True)
class Run:
    """What one measured action did: its stages and the operators of its queries' final plans.

    `tag` is the job tag by which the same figures can be read again, `plan` the text of the plans that ran.
    """

    label: str
    tag: str
    stages: tuple[Stage, ...]
    nodes: tuple[Node, ...]
    plan: str
    query: str = ""  # the measured DataFrame's plan, serialised; empty for a function

    @property
    def shuffle_bytes(self) -> int:
        """Bytes that all stages wrote for a shuffle."""
        return sum(stage.shuffle_write for stage in self.stages)

    @property
    def input_bytes(self) -> int:
        """Bytes that all stages read from files (or from a cache), Delta's log included: the UI's column "Input"."""
        return sum(stage.input_bytes for stage in self.stages)

    @property
    def run_time(self) -> int:
        """Milliseconds of task time, summed over all stages."""
        return sum(stage.run_time for stage in self.stages)

    @property
    def files_read(self) -> int:
        """Files that all scans read."""
        return self.total("number of files read")

    @property
    def bytes_read(self) -> int:
        """Size in bytes of the files that all scans read."""
        return self.total("size of files read")

    def total(self, metric: str) -> int:
        """Sum of a metric over all operators that have it."""
        return sum(node.metrics.get(metric, 0) for node in self.nodes)

    def count(self, operator: str) -> int:
        """How many operators of that name the final plan has, such as `BroadcastHashJoin` or `Exchange`."""
        return sum(node.name.split(" ")[0] == operator for node in self.nodes)


def measure(action: DataFrame | Callable[[], object], label: str = "") -> Run:
    """Run a DataFrame to its end without keeping rows (or call a function) and return what Spark did for it.

    Streams that a function runs count too. Spark gives their jobs none of the caller's tags, so they are told by the session and by
    having begun meanwhile: a stream that runs in the background at the same time would be counted as well.

    Raises LabsError if the action started no Spark job, or if the UI can't be reached. Errors of the action itself pass.
    """
    spark = session.connection().spark
    tag = f"run-{uuid.uuid4().hex}"
    before = max((job["jobId"] for job in fetch("jobs")), default=-1)
    spark.addTag(tag)
    try:
        if isinstance(action, DataFrame):
            action.write.format("noop").mode("overwrite").save()
        else:
            action()
    finally:
        spark.removeTag(tag)
    if isinstance(action, DataFrame):
        return replace(of_tag(tag, label), query=serialised(action))
    return _of_jobs(tag, label, lambda job: _has_tag(job, tag) or _is_later(job, before, spark.session_id))


def serialised(frame: DataFrame) -> str:
    """A DataFrame's unresolved plan (`spark.connect.Plan`) as base64: data that another session can analyse."""
    return base64.b64encode(frame._plan.to_proto(frame.sparkSession.client).SerializeToString()).decode()


def of_tag(tag: str, label: str = "") -> Run:
    """What Spark did for the jobs that carry a tag of `spark.addTag`."""
    return _of_jobs(tag, label, lambda job: _has_tag(job, tag))


def _of_jobs(tag: str, label: str, wanted: Callable[[dict[str, Any]], bool]) -> Run:
    jobs = _settled_jobs(wanted)
    stage_ids = sorted({stage for job in jobs for stage in job["stageIds"]})
    stages = tuple(stage for number in stage_ids if (stage := _stage(number)) is not None)
    if len(stages) < sum(job["numCompletedStages"] for job in jobs):
        raise LabsError(
            "The Spark UI has forgotten a part of this run, as much has run since; measure it again."
        )
    nodes, plan = _executed_plan({job["jobId"] for job in jobs})
    return Run(label, tag, stages, nodes, plan)


def fetch(path: str) -> Any:
    """JSON of one REST address below the running application, such as `jobs` or `stages/3`; None where it has nothing.

    Raises LabsError if there is no UI to ask.
    """
    ui = session.connection().ui
    if ui is None:
        raise LabsError(
            "The Spark UI's address is unknown; set LABS_SPARK_UI to it, such as http://host:4040."
        )
    try:
        return _get(f"{ui}/api/v1/applications/{_application(ui)}/{path}")
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return None
        raise LabsError(f"The Spark UI refused to tell {path} (HTTP {error.code}).") from None
    except OSError as error:
        raise LabsError(
            f"The Spark UI at {ui} does not answer ({error}); run the cell again in a moment."
        ) from None


def size(text: str) -> int:
    """A UI figure as a whole number: `1,234`, `12.5 MiB`, or the total of `total (min, med, max)\\n12.5 MiB (...)`."""
    text = text.rsplit("\n", 1)[-1]
    match = re.match(r"\s*([\d,]+(?:\.\d+)?)\s*([KMGT]?i?B)?", text)
    if not match:
        return 0
    return round(float(match[1].replace(",", "")) * UNITS.get(match[2] or "B", 1))


def _has_tag(job: dict[str, Any], tag: str) -> bool:
    return any(name.endswith(tag) for name in job["jobTags"])


def _is_later(job: dict[str, Any], before: int, session_id: str) -> bool:
    """Whether a job began after job `before`, in that session and outside of another measured run."""
    tags = job["jobTags"]
    mine = any(f"Session_{session_id}" in name for name in tags)
    return job["jobId"] > before and mine and not any(MEASURED.search(name) for name in tags)


def _settled_jobs(wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Those jobs once the UI has seen all of them end: its store runs a little behind the scheduler."""
    deadline = time.monotonic() + PATIENCE
    while True:
        jobs = [job for job in fetch("jobs") if wanted(job)]
        if jobs and all(job["status"] != "RUNNING" for job in jobs):
            return jobs
        if time.monotonic() > deadline:
            raise LabsError(
                "The Spark UI knows no job of this run: it computed nothing, or it was on a server that is gone. Measure it again."
            )
        time.sleep(0.05)


def _stage(number: int) -> Stage | None:
    attempts = fetch(f"stages/{number}") or []  # the UI's store drops skipped stages first
    done = [attempt for attempt in attempts if attempt["status"] == "COMPLETE"]
    if not done:  # skipped: its shuffle files were there already
        return None
    last = done[-1]
    return Stage(
        id=number,
        name=last["name"],
        tasks=last["numCompleteTasks"],
        run_time=last["executorRunTime"],
        input_bytes=last["inputBytes"],
        input_records=last["inputRecords"],
        shuffle_read=last["shuffleReadBytes"],
        shuffle_write=last["shuffleWriteBytes"],
        spill=last["diskBytesSpilled"],
    )


def _executed_plan(jobs: set[int]) -> tuple[tuple[Node, ...], str]:
    executions = fetch("sql?details=false&planDescription=false&length=100000")
    mine = [e["id"] for e in executions if jobs & set(e["successJobIds"] + e["failedJobIds"])]
    if not mine:
        return (), ""
    nodes: list[Node] = []
    plans: list[str] = []
    # One action can be several executions (Delta's own metadata queries among them): all of them count.
    for number in mine:
        detail = fetch(f"sql/{number}?details=true&planDescription=true")
        plans.append(detail["planDescription"])
        for node in detail["nodes"]:
            metrics = {metric["name"]: size(metric["value"]) for metric in node["metrics"]}
            nodes.append(Node(node["nodeId"], node["nodeName"].strip(), node.get("nodeDesc", ""), metrics))
    return tuple(nodes), "\n".join(plans)


def _application(ui: str) -> str:
    return str(_get(f"{ui}/api/v1/applications")[0]["id"])


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        return json.load(response)


def outline(frame: DataFrame, show: bool = True) -> str | None:
    """Print (or return, if not `show`) the physical plan that Spark chooses for a DataFrame, without ids and paths."""
    text = plans.outline(plans.parse(frame._explain_string(mode="simple")))
    if not show:
        return text
    print(text)
    return None
