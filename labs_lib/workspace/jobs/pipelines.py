"""Declarative pipelines that jobs run: their settings, by the part of the Pipelines API that keeps them, and the command of a run.

They are run by Spark's own `spark-pipelines` on the course's server. Source: docs.databricks.com, "Pipelines API".
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from labs_lib.workspace import files, permissions
from labs_lib.workspace.files import rules
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Text
from labs_lib.workspace.ground.errors import AlreadyExists, NotFound

KIND = "pipeline"
LEVELS = ("CAN_VIEW", "CAN_RUN", "CAN_MANAGE", "IS_OWNER")


class At(Model):
    path: str


class Library(Model):
    """One source: a file or a notebook of the workspace."""

    file: At | None = None
    notebook: At | None = None

    @model_validator(mode="after")
    def _one(self) -> Library:
        if (self.file is None) == (self.notebook is None):
            raise ValueError("each library of a pipeline is a file or a notebook of the workspace")
        return self

    @property
    def path(self) -> str:
        return (self.file or self.notebook or At(path="")).path


class Pipeline(Model):
    model_config = ConfigDict(extra="allow")
    name: Text
    libraries: Annotated[list[Library], Field(min_length=1, max_length=100)]
    schema_: str | None = Field(None, alias="schema")
    target: str | None = None
    configuration: dict[str, str] = {}


class Which(Model):
    pipeline_id: str


class Edited(Pipeline):
    pipeline_id: str


def command(ctx: Context, folder: Path, pipeline_id: str, full_refresh: bool) -> tuple[str, ...]:
    """Write a pipeline's sources and spec into a folder, as the caller may read them; the command that runs it.

    Raises NotFound if it or a source is not there, PermissionDenied if the caller may not run it.
    """
    found = _found(ctx, pipeline_id)
    permissions.require(ctx, "pipelines", pipeline_id, "CAN_RUN")
    pipeline = Pipeline.model_validate(found)
    sources = folder / "sources"
    sources.mkdir()
    for number, library in enumerate(pipeline.libraries):
        item = files.read(ctx, library.path, "CAN_READ")
        end = ".sql" if item.path.endswith(".sql") or item.language == "SQL" else ".py"
        content = item.content if item.kind == "FILE" else rules.exported(item, "SOURCE")[0]
        (sources / f"{number}_{Path(item.path).stem}{end}").write_bytes(content)
    storage = ctx.home / "pipelines" / pipeline_id
    storage.mkdir(parents=True, exist_ok=True)
    spec = {
        "name": pipeline.name,
        "storage": f"file://{storage}",
        "database": pipeline.schema_ or pipeline.target or "default",
        "configuration": pipeline.configuration,
        "libraries": [{"glob": {"include": f"sources/{name.name}"}} for name in sorted(sources.iterdir())],
    }
    (folder / "spark-pipeline.yml").write_text(json.dumps(spec))  # JSON is YAML
    full = ("--full-refresh-all",) if full_refresh else ()
    run = (sys.executable, "-m", "pyspark.pipelines.cli", "run", "--spec")
    return (*run, str(folder / "spark-pipeline.yml"), *full)


def _found(ctx: Context, pipeline_id: str) -> dict[str, Any]:
    found = store.get(ctx.db, KIND, pipeline_id)
    if found is None:
        raise NotFound(f"There is no pipeline with the id {pipeline_id[:80]!r}.")
    return found


def keep(ctx: Context, pipeline_id: str, pipeline: Pipeline, creator: str) -> None:
    other = store.find(ctx.db, KIND, pipeline.name)
    if other and other[0] != pipeline_id:
        raise AlreadyExists(f"There is a pipeline {pipeline.name!r} already.")
    told = pipeline.model_dump(exclude_none=True, exclude_unset=True, by_alias=True)
    told.pop("pipeline_id", None)
    store.put(ctx.db, KIND, pipeline_id, told | {"creator_user_name": creator}, pipeline.name)


def _create(ctx: Context, new: Pipeline) -> dict[str, Any]:
    pipeline_id = str(uuid.uuid4())
    keep(ctx, pipeline_id, new, ctx.caller.user_name)
    permissions.grant_owner(ctx, "pipelines", pipeline_id)
    return {"pipeline_id": pipeline_id}


def _get(ctx: Context, which: Which) -> dict[str, Any]:
    found = _found(ctx, which.pipeline_id)
    permissions.require(ctx, "pipelines", which.pipeline_id, "CAN_VIEW")
    creator = found.pop("creator_user_name")
    told = {"pipeline_id": which.pipeline_id, "name": found["name"], "state": "IDLE"}
    who = {"creator_user_name": creator, "run_as_user_name": creator}
    return {**told, **who, "spec": {"id": which.pipeline_id, **found}}


def _edit(ctx: Context, new: Edited) -> None:
    creator = _found(ctx, new.pipeline_id)["creator_user_name"]
    permissions.require(ctx, "pipelines", new.pipeline_id, "CAN_MANAGE")
    keep(ctx, new.pipeline_id, new, creator)


def _delete(ctx: Context, which: Which) -> None:
    _found(ctx, which.pipeline_id)
    permissions.require(ctx, "pipelines", which.pipeline_id, "CAN_MANAGE")
    store.remove(ctx.db, KIND, which.pipeline_id)
    permissions.forget(ctx, "pipelines", which.pipeline_id)


def _list(ctx: Context, _: Model) -> dict[str, Any]:
    seen = [
        each
        for each in store.every(ctx.db, KIND)
        if permissions.allowed(ctx, "pipelines", each[0], "CAN_VIEW")
    ]
    return {"statuses": [{"pipeline_id": id, "name": found["name"], "state": "IDLE"} for id, found in seen]}


permissions.register("pipelines", LEVELS, lambda ctx, id: store.get(ctx.db, KIND, id) is not None)

_AT = "/api/2.0/pipelines"
ENDPOINTS = (
    Endpoint("POST", _AT, _create, Pipeline, ("deltaPipelines", "create")),
    Endpoint("GET", _AT, _list),
    Endpoint("GET", f"{_AT}/{{pipeline_id}}", _get, Which),
    Endpoint("PUT", f"{_AT}/{{pipeline_id}}", _edit, Edited, ("deltaPipelines", "edit")),
    Endpoint("DELETE", f"{_AT}/{{pipeline_id}}", _delete, Which, ("deltaPipelines", "delete")),
)
