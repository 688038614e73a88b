"""Step 3b.2, environments: the bundle is resolved for each target, with the platform team's file and with others that it could be tomorrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.bundle import resolving
from labs_lib.cicd.bundle.resolving import Resolved
from labs_lib.cicd.bundle.tree import BundleError, Node, read
from labs_lib.cicd.checks.fresh import fresh
from labs_lib.cicd.environments import FILE, PROGRAMS, TARGETS, environments, environments_file
from labs_lib.cicd.project import TEMPLATE

USER, SHORT = "robin@example.com", "robin"
DRAWS = 3
TOPICS = ("jobs", "machines", "schedule", "dev", "told", "shared")
Values = dict[str, dict[str, Any]]


def observe_3b_2(observer: Observer) -> dict[str, Any]:
    """What is wrong, by topic, in any draw of the platform team's file."""
    files = {path: text for path, text in observer.answer("bundle_files").items() if path != FILE}
    which = fresh(observer)
    draws = [environments(observer.lab.seed)] + [
        environments(observer.lab.seed, f"{which} {n}") for n in range(1, DRAWS)
    ]
    wrong: dict[str, list[str]] = {topic: [] for topic in TOPICS}
    for told in draws:
        try:
            found = resolved(files, told)
        except BundleError as error:
            return {"unread": str(error)}
        for topic, said in probed(found, told):
            wrong[topic].append(said)
    wrong["places"] = [*places(files), *copied(files, draws[0])]
    return {"unread": "", "wrong": {topic: list(dict.fromkeys(said))[:4] for topic, said in wrong.items()}}


def judge_3b_2(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each topic."""
    observed = evidence.observed
    if observed["unread"]:
        yield Finding(
            "the bundle",
            False,
            "valid for dev, qa and prod",
            observed["unread"],
            "`labs bundle validate -t …` says the same.",
            9,
        )
        return
    yield Finding("the bundle", True, "valid for dev, qa and prod", "that")
    for topic, name, expected, look, weight in (
        ("jobs", "the jobs", "daily and smoke, with the programs and parameters of the task", "`labs bundle validate -o json` shows what each job comes to.", 1),
        ("machines", "the machines", "workers and machines as the platform team's file has them for the target", "`${var.workers}` keeps its type where it stands alone.", 1),
        ("schedule", "the schedule", "the target's cron in UTC; it runs in prod alone", "Development mode pauses by itself; another target has `presets`, or an override of its own.", 1),
        ("dev", "development", "dev is the default, in development mode, each developer's copy under his own name", "`mode: development`, and no root_path there.", 1),
        ("told", "who is told", "failures of daily are told to the target's address in qa and prod, and to nobody in dev", "A target may override a part of a job.", 1),
        ("shared", "qa and prod", "prod in production mode; one copy for all below /Shared/retail", "`workspace.root_path` with `${bundle.target}` in it.", 1),
        ("places", "one place for each fact", "nothing of the platform team's file in another, a job and its machines described once", "What two jobs share can be a variable with `type: complex`.", 2),
    ):  # fmt: skip
        wrong = observed["wrong"][topic]
        yield Finding(name, not wrong, expected, "; ".join(wrong[:2]) or "that", look, weight)


def resolved(files: Mapping[str, str], told: Values) -> dict[str, Resolved]:
    """The bundle for each target, with that file of the platform team's. Raises BundleError."""
    whole = {**files, FILE: environments_file(told)}
    bundle = resolving.load(whole, frozenset({*whole, *PROGRAMS, *TEMPLATE}))
    if missing := [target for target in TARGETS if target not in bundle.targets]:
        raise BundleError(f"The bundle has no target {missing[0]}.")
    if bundle.name != "retail":
        raise BundleError(f"The bundle's name is {bundle.name!r}; it has to be retail.")
    found = {target: resolving.resolve(bundle, target, USER) for target in TARGETS}
    found["default"] = resolving.resolve(bundle, None, USER)
    return found


def probed(found: Mapping[str, Resolved], told: Values) -> Iterator[tuple[str, str]]:
    """Topic and sentence for each thing that isn't as the task has it."""
    for target, values in told.items():
        jobs = found[target].resources.get("jobs", {})
        for key in ("daily", "smoke"):
            if key not in jobs:
                yield "jobs", f"{target} has no job {key}"
        if others := sorted(set(jobs) - {"daily", "smoke"}):
            yield "jobs", f"{target} has a job {others[0]}, which nobody asked for"
        for key in sorted({"daily", "smoke"} & set(jobs)):
            yield from _job(target, key, jobs[key], values, found[target].file_path)
            yield from _machines(target, key, jobs[key], values)
        if "daily" in jobs:
            yield from _schedule(target, jobs["daily"], values)
            yield from _told(target, jobs["daily"], values)
        if jobs.get("smoke", {}).get("schedule"):
            yield "schedule", f"{target}: smoke has a schedule; only a release runs it"
        yield from _place(target, found[target])
    if found["default"].target != "dev":
        yield "dev", f"the default target is {found['default'].target}"


def _job(
    target: str, key: str, job: dict[str, Any], values: dict[str, Any], files: str
) -> Iterator[tuple[str, str]]:
    name = f"retail {key}"
    if target == "dev":
        if job["name"] != f"[dev {SHORT}] {name}":
            yield "dev", f"for {USER} the job {key} is named {job['name']!r} in dev"
    elif job["name"] != name:
        yield "jobs", f"{target}: {key} is named {job['name']!r} and not {name!r}"
    tasks = job.get("tasks") or []
    task = (tasks[0].get("spark_python_task") or {}) if len(tasks) == 1 else {}
    program = {"daily": "jobs/load_day.py", "smoke": "jobs/smoke.py"}[key]
    if len(tasks) != 1 or task.get("python_file") != f"{files}/{program}":
        yield (
            "jobs",
            f"{target}: {key} runs {task.get('python_file') or 'no Python file'} in {len(tasks)} tasks, and not {program} in one",
        )
        return
    wanted = {
        "daily": [
            "--source",
            values["source_schema"],
            "--target",
            values["target_schema"],
            "--day",
            "{{job.start_time.iso_date}}",
        ],
        "smoke": ["--target", values["target_schema"]],
    }[key]
    if task.get("parameters") != wanted:
        yield (
            "jobs",
            f"{target}: {key} is given {' '.join(task.get('parameters') or []) or 'nothing'}; asked for was {' '.join(wanted)}",
        )


def _machines(
    target: str, key: str, job: dict[str, Any], values: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    task = (job.get("tasks") or [{}])[0]
    clusters = {
        each.get("job_cluster_key"): each.get("new_cluster") or {} for each in job.get("job_clusters") or []
    }
    cluster = task.get("new_cluster") or clusters.get(task.get("job_cluster_key")) or {}
    if not cluster:
        yield "machines", f"{target}: {key} has no cluster of its own"
    for name, wanted in (
        ("num_workers", values["workers"]),
        ("node_type_id", values["node_type"]),
        ("spark_version", "17.3.x-scala2.13"),
    ):
        if cluster and cluster.get(name) != wanted:
            yield "machines", f"{target}: {key} has {name} {cluster.get(name)}, where {wanted} was asked for"


def _schedule(target: str, job: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    schedule = job.get("schedule") or {}
    if schedule.get("quartz_cron_expression") != values["cron"] or schedule.get("timezone_id") != "UTC":
        said = (
            f"{schedule.get('quartz_cron_expression')} in {schedule.get('timezone_id')}"
            if schedule
            else "no schedule"
        )
        yield "schedule", f"{target}: daily has {said}, where {values['cron']} in UTC was asked for"
    paused = schedule.get("pause_status") == "PAUSED"
    if schedule and paused != (target != "prod"):
        yield "schedule", f"{target}: the schedule of daily {'is paused' if paused else 'runs'}"


def _told(target: str, job: dict[str, Any], values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    mails = (job.get("email_notifications") or {}).get("on_failure") or []
    wanted = [values["alerts"]] if "alerts" in values else []
    if mails != wanted:
        yield (
            "told",
            f"{target}: a failure is told to {', '.join(map(repr, mails)) or 'nobody'}, where {', '.join(wanted) or 'nobody'} was asked for",
        )


def _place(target: str, found: Resolved) -> Iterator[tuple[str, str]]:
    if target == "dev":
        if found.mode != "development":
            yield "dev", "dev is not in development mode"
        if not found.root_path.startswith(f"/Users/{USER}/"):
            yield "dev", f"for {USER} dev is deployed to {found.root_path}, where others' copies go, too"
        return
    if found.root_path != f"/Shared/retail/{target}":
        yield "shared", f"{target} is deployed to {found.root_path} and not to /Shared/retail/{target}"
    if found.mode != {"qa": None, "prod": "production"}[target]:
        yield "shared", f"{target} is in {found.mode or 'no'} mode"


def places(files: Mapping[str, str]) -> Iterator[str]:
    """What is described more than once. The files are known to be readable."""
    trees = [
        (path, read(text, path)) for path, text in sorted(files.items()) if path.endswith((".yml", ".yaml"))
    ]
    described: dict[str, list[str]] = {}
    for _, tree in trees:
        for key, node in _keys(tree):
            if key in (
                "python_file",
                "quartz_cron_expression",
                "node_type_id",
                "num_workers",
                "spark_version",
            ):
                what = f"{key} {node.value}" if key == "python_file" else key
                described.setdefault(what, []).append(str(node.at))
    for what, spots in described.items():
        if len(set(spots)) > 1:
            yield f"{what} stands in {' and '.join(list(dict.fromkeys(spots))[:3])}"


def _keys(node: Node) -> Iterator[tuple[str, Node]]:
    for key, child in node.items():
        yield key, child
        yield from _keys(child)
    for child in node.value if isinstance(node.value, list) else ():
        yield from _keys(child)


def copied(files: Mapping[str, str], told: Values) -> Iterator[str]:
    """Values of the platform team's file that stand in another."""
    values = {str(value) for each in told.values() for name, value in each.items() if name != "workers"}
    for path, text in sorted(files.items()):
        for number, line in enumerate(text.splitlines(), 1):
            for value in sorted(values):
                if re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", line.partition(" #")[0]):
                    yield f"{path}, line {number}: {value} stands there, which is the platform team's to say"
