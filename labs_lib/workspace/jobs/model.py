"""Settings of a job as the Jobs API 2.2 has them, checked when they come in; what no exercise needs is refused by its name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from labs_lib.workspace import compute, notify
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Model, Text
from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.jobs import quartz, references
from labs_lib.workspace.jobs.rules import Key, Spec, check_graph

Seconds = Annotated[int, Field(ge=0, le=10**9)]
KINDS = (
    "notebook_task",
    "spark_python_task",
    "sql_task",
    "pipeline_task",
    "condition_task",
)
NOT_HERE = ("continuous", "trigger", "triggers", "git_source", "health", "libraries", "notification_settings")
NOT_AT_TASKS = ("email_notifications", "webhook_notifications")  # a run tells of itself as a whole
MOST_TASKS, MOST_TAGS = 1000, 25
EVENTS = ("on_start", "on_success", "on_failure")


class Loose(Model):
    """Settings that are kept as they come, beside those that are looked at."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class NotebookTask(Loose):
    notebook_path: str
    base_parameters: dict[str, str] = {}
    source: Literal["WORKSPACE"] = "WORKSPACE"


class PythonTask(Loose):
    python_file: str
    parameters: list[str] = []
    source: Literal["WORKSPACE"] = "WORKSPACE"


class SqlFile(Loose):
    path: str
    source: Literal["WORKSPACE"] = "WORKSPACE"


class SqlTask(Loose):
    warehouse_id: str
    file: SqlFile
    parameters: dict[str, str] = {}


class PipelineTask(Loose):
    pipeline_id: str
    full_refresh: bool = False


class ConditionTask(Model):
    op: Literal[
        "EQUAL_TO", "NOT_EQUAL", "GREATER_THAN", "GREATER_THAN_OR_EQUAL", "LESS_THAN", "LESS_THAN_OR_EQUAL"
    ]
    left: str
    right: str


class Webhook(Model):
    id: str


class Emails(Loose):
    on_start: list[str] = []
    on_success: list[str] = []
    on_failure: list[str] = []


class Webhooks(Loose):
    on_start: list[Webhook] = []
    on_success: list[Webhook] = []
    on_failure: list[Webhook] = []


class Task(Spec, Loose):
    timeout_seconds: Seconds = 0
    disabled: Literal[False] = False
    notebook_task: NotebookTask | None = None
    spark_python_task: PythonTask | None = None
    sql_task: SqlTask | None = None
    pipeline_task: PipelineTask | None = None
    condition_task: ConditionTask | None = None
    job_cluster_key: str | None = None
    existing_cluster_id: str | None = None
    new_cluster: dict[str, Any] | None = None

    @property
    def kind(self) -> str:
        """Which of the task types it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class JobCluster(Model):
    job_cluster_key: Key
    new_cluster: dict[str, Any]


class Parameter(Model):
    name: Annotated[str, StringConstraints(pattern=r"^[\w.\-]{1,100}$")]
    default: str = ""


class Schedule(Loose):
    quartz_cron_expression: str
    timezone_id: str
    pause_status: Literal["PAUSED", "UNPAUSED"] = "UNPAUSED"


class RunAs(Model):
    user_name: str | None = None
    service_principal_name: str | None = None


class Queue(Model):
    enabled: bool


class Settings(Loose):
    name: Text = "Untitled"
    email_notifications: Emails = Emails()
    webhook_notifications: Webhooks = Webhooks()
    timeout_seconds: Seconds = 0
    tasks: Annotated[list[Task], Field(max_length=MOST_TASKS)] = []
    job_clusters: Annotated[list[JobCluster], Field(max_length=100)] = []
    parameters: list[Parameter] = []
    max_concurrent_runs: Annotated[int, Field(ge=0, le=1000)] = 1
    queue: Queue | None = None
    schedule: Schedule | None = None
    run_as: RunAs | None = None
    tags: Annotated[dict[str, str], Field(max_length=MOST_TAGS)] = {}
    format: str | None = Field(None, exclude=True)

    def task(self, key: str) -> Task:
        """The task of that key."""
        return next(task for task in self.tasks if task.task_key == key)

    def stored(self) -> dict[str, Any]:
        """As the store keeps it and `get` shows it: what was given, and the defaults that Databricks shows too."""
        told = self.model_dump(exclude_unset=True, exclude_none=True)
        for task in told.get("tasks", []):
            task.update({"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}} | task)
        defaults = {"name": self.name, "max_concurrent_runs": 1, "timeout_seconds": 0}
        return (
            defaults
            | {"email_notifications": {}, "webhook_notifications": {}}
            | told
            | {"format": "MULTI_TASK"}
        )


def check(ctx: Context, settings: Settings) -> None:
    """Raise InvalidParameter, which names task and field, if a run of these settings could not be; or what refuses a cluster of theirs."""
    for part in (settings, *settings.tasks):
        if wrong := [name for name in (*NOT_HERE, *NOT_AT_TASKS) if (part.model_extra or {}).get(name)]:
            raise InvalidParameter(
                f"This workspace has no {wrong[0]} for jobs and their tasks; jobs have a schedule, notifications, and files of the workspace."
            )
    check_graph(settings.tasks)
    names = [parameter.name for parameter in settings.parameters]
    for what, given in (
        ("parameter", names),
        ("job cluster", [c.job_cluster_key for c in settings.job_clusters]),
    ):
        if twice := [name for name in given if given.count(name) > 1]:
            raise InvalidParameter(f"The {what} {twice[0]!r} stands twice in the job.")
    if settings.schedule:
        quartz.check(settings.schedule.quartz_cron_expression, settings.schedule.timezone_id)
    if settings.run_as and (settings.run_as.user_name is None) == (
        settings.run_as.service_principal_name is None
    ):
        raise InvalidParameter("run_as takes user_name or service_principal_name, exactly one of the two.")
    for event in EVENTS:
        for address in getattr(settings.email_notifications, event):
            notify.check_address(address)
        for webhook in getattr(settings.webhook_notifications, event):
            notify.check_destination(ctx, webhook.id)
    for task in settings.tasks:
        _check_task(settings, task)
        references.check(task.model_dump(include=set(KINDS)), frozenset(names))
    for spec in [
        *(c.new_cluster for c in settings.job_clusters),
        *(t.new_cluster for t in settings.tasks if t.new_cluster),
    ]:
        compute.admit(ctx, spec, "job")


def _check_task(settings: Settings, task: Task) -> None:
    given = [kind for kind in KINDS if getattr(task, kind) is not None]
    others = [
        name
        for name, value in (task.model_extra or {}).items()
        if name.endswith("_task") and value is not None
    ]
    if others:
        raise InvalidParameter(
            f"The task {task.task_key!r} is a {others[0]}; this workspace runs {', '.join(KINDS)}."
        )
    if len(given) != 1:
        raise InvalidParameter(
            f"The task {task.task_key!r} has {len(given) or 'no'} task types; it needs exactly one of {', '.join(KINDS)}."
        )
    on = [
        n for n in ("job_cluster_key", "existing_cluster_id", "new_cluster") if getattr(task, n) is not None
    ]
    if len(on) > 1:
        raise InvalidParameter(
            f"The task {task.task_key!r} has {' and '.join(on)}; it takes one of them at most."
        )
    if task.job_cluster_key and task.job_cluster_key not in [
        c.job_cluster_key for c in settings.job_clusters
    ]:
        raise InvalidParameter(
            f"The task {task.task_key!r} asks for the job cluster {task.job_cluster_key!r}, which the job doesn't have."
        )
    conditions = {other.task_key for other in settings.tasks if other.condition_task}
    for dependency in task.depends_on:
        if dependency.outcome and dependency.task_key not in conditions:
            raise InvalidParameter(
                f"The task {task.task_key!r} waits for an outcome of {dependency.task_key!r}, which is no condition_task."
            )


def updated(old: dict[str, Any], new: dict[str, Any], remove: Iterable[str]) -> dict[str, Any]:
    """Settings after an update: fields are replaced, but tasks and job clusters merged by their keys."""
    merged = {field: value for field, value in old.items() if field not in set(remove)}
    keys = {"tasks": "task_key", "job_clusters": "job_cluster_key"}
    for field, value in new.items():
        if field in keys and isinstance(value, list):
            key = keys[field]
            fresh = {each.get(key): each for each in value if isinstance(each, dict)}
            kept = [fresh.pop(each[key], each) for each in merged.get(field, [])]
            merged[field] = [*kept, *fresh.values()]
        else:
            merged[field] = value
    return merged
