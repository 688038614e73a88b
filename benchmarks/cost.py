"""(f) What the engine costs: the JVM's CPU seconds and Spark's jobs for a module's fresh run and its replay.

CPU seconds hold on a busy machine, where wall time doesn't. `--conf` and `--jvm` try a setting, `--record` tells where Java's time goes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from benchmarks import busy
from benchmarks.figures import Figure, Result, Trial
from benchmarks.ground import ROOT, Ground
from benchmarks.solution import Silent
from grader.rehearsal.execute import run_solution
from grader.rehearsal.outcome import Outcome
from grader.rehearsal.replay import replay
from labs_lib import registry, settings
from labs_lib.engine import archive, server

SEED = 7  # every run does the same work
TICKS = os.sysconf("SC_CLK_TCK")  # a second's worth of /proc's CPU time
STAGES = ("fresh run", "replay")
JAVA = "Java's own threads"
# The JVM's other threads, by how the kernel shows their names (15 characters).
THREADS = {
    "C1 CompilerThre": "JIT compiler, C1",
    "C2 CompilerThre": "JIT compiler, C2",
    "VM Thread": "GC, safepoints",
}
# Java's work, by a frame anywhere in the stack: the first that fits.
WORK = (
    ("formatting generated code", ("codegen.CodeFormatter",)),
    ("compiling generated code (Janino)", ("org.codehaus.",)),
    ("loading classes", ("java.lang.ClassLoader.", "jdk.internal.loader.")),
    ("starting processes", ("java.lang.ProcessBuilder.", "java.lang.ProcessImpl.")),
    ("generating code", ("catalyst.expressions.codegen.", "WholeStageCodegenExec.doCodeGen")),
    ("optimizer", ("catalyst.optimizer.", "QueryExecution.optimizedPlan")),
    ("analysis", ("catalyst.analysis.",)),
    ("planning", ("sql.execution.SparkPlanner", "sql.execution.QueryExecution", "adaptive.AdaptiveSparkPlanExec")),
    ("tasks, other", ("org.apache.spark.executor.Executor",)),
    ("scheduler", ("org.apache.spark.scheduler.",)),
    ("UI and listeners", ("org.apache.spark.status.", "ui.SQLAppStatusListener", "org.glassfish.", "org.sparkproject.jetty")),
)  # fmt: skip


@dataclass
class Cost:
    """What a server has spent so far: CPU seconds of the JVM, by kind of thread, and of processes it started; jobs."""

    cpu: float
    threads: dict[str, float]
    children: float
    jobs: int
    job_time: float


def measure(place: Ground, module: str, trial: Trial, console: Console) -> Result:
    """Start a server with the settings of `trial`, run the module twice on it as `grader check` does, and read its clocks."""
    server.stop()
    settings.SPARK_CONF.update(trial.conf)
    recording = place.folder / "engine.jfr"
    options = list(trial.jvm)
    if trial.record:
        options += [
            f"-XX:StartFlightRecording=settings=profile,filename={recording}",
            "-XX:FlightRecorderOptions=stackdepth=256",
        ]
    # Not by settings.JVM_OPTIONS: the archive is kept under a name made from these.
    with mock.patch.object(archive, "options", return_value=[*archive.options(place.java), *options]):
        found = server.ensure()
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    before = Cost(0.0, {}, 0.0, 0, 0.0)
    for stage in STAGES:
        outcome = _run(stage, place, module)
        for failure in outcome.failures:
            console.print(f"[red]{stage}: {failure}", soft_wrap=True, highlight=False)
        now = _cost(found)
        figures += [
            Figure("f", f"{stage}: JVM", now.cpu - before.cpu, "CPU s"),
            Figure("f", f"{stage}: Spark jobs", now.jobs - before.jobs, ""),
        ]
        raw[stage] = {"seconds": outcome.seconds}
        before = now
    figures += [
        Figure("f", "both: JVM", before.cpu, "CPU s"),
        *(
            Figure("f", f"  {name}", seconds, "CPU s")
            for name, seconds in sorted(before.threads.items(), key=lambda item: -item[1])
        ),
        Figure("f", "both: processes that it started", before.children, "CPU s"),
        Figure("f", "both: Spark jobs", before.jobs, ""),
        Figure("f", "  their time", before.job_time, "s"),
    ]
    server.stop()
    if trial.record:
        samples = _samples(place.java.executable, recording)
        java = before.threads[JAVA]
        figures += [
            Figure("f", f"  Java, {name}", java * count / samples.total(), "CPU s")
            for name, count in samples.most_common()
        ]
    counted = (
        f"(f) {module}, seed {SEED}, both stages of `grader check` on one server that began cold. CPU seconds are utime and stime of the "
        "JVM in /proc; those of Java's work are its threads' seconds in the proportions of the flight recorder's samples."
    )
    return Result(tuple(figures), counted, raw | {"trial": vars(trial)})


def _run(stage: str, place: Ground, module: str) -> Outcome:
    workspace = place.fresh("workspace")
    if stage == "replay":
        return replay(ROOT, registry.module(module), workspace, Silent())
    return run_solution(ROOT, registry.module(module), SEED, workspace, Silent(), demos=False)[0]


def _cost(found: server.Server) -> Cost:
    process = Path("/proc") / str(found.pid)
    own, children = _clocks(process / "stat")
    threads: dict[str, float] = defaultdict(float)
    for task in process.glob("task/*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            kind = THREADS.get((task / "comm").read_text().strip(), JAVA)
            threads[kind] += _clocks(task / "stat")[0]
    threads[JAVA] += own - sum(threads.values())  # of threads that have ended
    jobs, _ = busy.of_server(found.ui)
    return Cost(own, threads, children, len(jobs), busy.length(busy.union(jobs)))


def _clocks(stat: Path) -> tuple[float, float]:
    """CPU seconds of a process or thread, and of its children that ended (proc(5): fields 14 to 17)."""
    user, system, children_user, children_system = map(
        int, stat.read_text().rpartition(")")[2].split()[11:15]
    )
    return (user + system) / TICKS, (children_user + children_system) / TICKS


def _samples(java: Path, recording: Path) -> Counter[str]:
    """How many of a recording's samples fall on each kind of Java's work."""
    options = ["--events", "jdk.ExecutionSample", "--stack-depth", "256"]
    command = [str(java.with_name("jfr")), "print", *options, str(recording)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Counter(_work(sample) for sample in printed.split("jdk.ExecutionSample {")[1:])


def _work(sample: str) -> str:
    return next((name for name, frames in WORK if any(frame in sample for frame in frames)), "other")
