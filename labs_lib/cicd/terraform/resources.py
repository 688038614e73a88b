"""The resources: what each is made of, and how it is brought into a workspace, found there, changed and taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labs_lib.cicd.rest import Refused, Workspace
from labs_lib.cicd.terraform.attributes import Attribute, Block

_ID = Attribute(computed=True)
_NEEDED, _FIXED = Attribute(required=True), Attribute(required=True, replaces=True)
_NUMBER, _TEXTS, _MAP = Attribute("number"), Attribute("strings"), Attribute("map")

Value = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A kind of resource. `id` is how Terraform and `import` know one."""

    block: Block

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Make one; returns what is computed."""
        raise NotImplementedError

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has, or None if it is gone."""
        raise NotImplementedError

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Change it."""
        raise NotImplementedError

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away."""
        raise NotImplementedError


def found(w: Workspace, path: str, /, **query: Any) -> dict[str, Any] | None:
    """What is there, or None."""
    try:
        return w.get(path, **query)
    except Refused as error:
        if error.is_gone:
            return None
        raise


@dataclass(frozen=True)
class Plain(Resource):
    """One with an id, and create, edit, get and delete at a path."""

    path: str
    name: str  # of the id

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Make one."""
        id = w.post(f"{self.path}/create", **self.block.said(wanted))[self.name]
        return {"id": str(id), self.name: str(id)}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has."""
        there = found(w, f"{self.path}/get", **{self.name: id})
        return None if there is None else {**there, "id": id, self.name: id}

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Change it."""
        told = {key: value for key, value in self.block.said(wanted).items() if key not in ("id", self.name)}
        w.post(f"{self.path}/edit", **{self.name: id}, **told)

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away."""
        w.post(f"{self.path}/delete", **{self.name: id})


_LISTS = {"job_cluster": "job_clusters", "task": "tasks"}
_INNER = {"autoscale", "email_notifications", "new_cluster", "notebook_task", "schedule", "spark_python_task"}


@dataclass(frozen=True)
class Job(Resource):
    """A job: its blocks are lists in Terraform and single things in the Jobs API."""

    path: str = "/api/2.2/jobs"

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Make one."""
        return {"id": str(w.post(f"{self.path}/create", **self._settings(wanted))["job_id"])}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has."""
        if not id.isdecimal():
            return None
        there = found(w, f"{self.path}/get", job_id=id)
        return None if there is None else {"id": id, **_as_blocks(there["settings"])}

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Change it: all that was there before is replaced."""
        w.post(f"{self.path}/reset", job_id=int(id), new_settings=self._settings(wanted))

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away."""
        w.post(f"{self.path}/delete", job_id=int(id))

    def _settings(self, wanted: Value) -> Value:
        told: Value = _as_api({key: value for key, value in self.block.said(wanted).items() if key != "id"})
        return told


def _as_api(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_api(each) for each in value]
    if not isinstance(value, dict):
        return value
    told = {_LISTS.get(key, key): _as_api(each) for key, each in value.items()}
    return {key: each[0] if key in _INNER and isinstance(each, list) else each for key, each in told.items()}


def _as_blocks(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_blocks(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = {api: name for name, api in _LISTS.items()}
    told = {names.get(key, key): _as_blocks(each) for key, each in value.items()}
    return {key: ([each] if each else []) if key in _INNER else each for key, each in told.items()}


@dataclass(frozen=True)
class Group(Resource):
    """A group, by SCIM."""

    path: str = "/api/2.0/preview/scim/v2/Groups"

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Make one."""
        return {"id": str(w.post(self.path, displayName=wanted["display_name"])["id"])}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has."""
        there = found(w, f"{self.path}/{id}")
        return None if there is None else {"id": id, "display_name": there["displayName"]}

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Rename it; its members stay."""
        there = w.get(f"{self.path}/{id}")
        told = {"displayName": wanted["display_name"], "members": there.get("members", [])}
        w.ask("PUT", f"{self.path}/{id}", told)

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away."""
        w.ask("DELETE", f"{self.path}/{id}")


_OBJECTS = {"cluster_policy_id": "cluster-policies", "instance_pool_id": "instance-pools", "job_id": "jobs"}
_PRINCIPALS = ("group_name", "user_name", "service_principal_name")


@dataclass(frozen=True)
class Permissions(Resource):
    """Who may what on one object: all of it, apart from its owner, what admins have anyway, and what comes from above."""

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Set the object's list."""
        named = [name for name in _OBJECTS if wanted.get(name)]
        if len(named) != 1:
            raise Refused(
                f"databricks_permissions is about one object: exactly one of {', '.join(_OBJECTS)}."
            )
        id = f"/{_OBJECTS[named[0]]}/{wanted[named[0]]}"
        self._set(w, id, wanted)
        return {"id": id}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has of it."""
        told = found(w, f"/api/2.0/permissions{id}")
        if told is None:
            return None
        wanted = [
            {name: value for name, value in each.items() if value is not None}
            for each in state.get("access_control") or []
        ]
        owned = any(
            each["permission_level"] == "IS_OWNER" for each in wanted
        )  # who doesn't name an owner leaves it as it is
        entries = [
            {
                "permission_level": level["permission_level"],
                **{name: each[name] for name in _PRINCIPALS if name in each},
            }
            for each in told.get("access_control_list", [])
            for level in each.get("all_permissions", [])
            if not level.get("inherited") and (owned or level["permission_level"] != "IS_OWNER")
        ]
        entries.sort(
            key=lambda each: (
                wanted.index(each) if each in wanted else len(wanted),
                json.dumps(each, sort_keys=True),
            )
        )
        name = next(name for name, kind in _OBJECTS.items() if id.startswith(f"/{kind}/"))
        return {"id": id, name: id.rpartition("/")[2], "access_control": entries}

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Set the list anew."""
        self._set(w, id, wanted)

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Leave the object to its owner and the admins."""
        self._set(w, id, {"access_control": []})

    def _set(self, w: Workspace, id: str, wanted: Value) -> None:
        entries = self.block.said({"access_control": wanted["access_control"]}).get("access_control", [])
        w.ask("PUT", f"/api/2.0/permissions{id}", {"access_control_list": entries})


@dataclass(frozen=True)
class Scope(Resource):
    """A secret scope; its name is its id."""

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Make one."""
        told = {key: wanted[key] for key in ("initial_manage_principal",) if wanted.get(key)}
        w.post("/api/2.0/secrets/scopes/create", scope=wanted["name"], **told)
        return {"id": wanted["name"]}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """Whether it is there; who could manage it at first is told by nobody."""
        scopes = w.get("/api/2.0/secrets/scopes/list").get("scopes", [])
        there = any(each["name"] == id for each in scopes)
        return {**state, "id": id, "name": id} if there else None

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away, with its secrets."""
        w.post("/api/2.0/secrets/scopes/delete", scope=id)


@dataclass(frozen=True)
class Secret(Resource):
    """A secret's value, which the workspace tells nobody who only keeps the scope: a change by hand of a value isn't seen, its loss is."""

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Put the value."""
        w.post(
            "/api/2.0/secrets/put",
            scope=wanted["scope"],
            key=wanted["key"],
            string_value=wanted["string_value"],
        )
        return {"id": f"{wanted['scope']}|||{wanted['key']}"}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """Whether it is there."""
        scope, _, key = id.partition("|||")
        told = found(w, "/api/2.0/secrets/list", scope=scope)
        there = told is not None and any(each["key"] == key for each in told.get("secrets", []))
        return {**state, "id": id, "scope": scope, "key": key} if there else None

    def update(self, w: Workspace, id: str, wanted: Value, before: Value) -> None:
        """Put another value."""
        self.create(w, wanted)

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it away."""
        scope, _, key = id.partition("|||")
        w.post("/api/2.0/secrets/delete", scope=scope, key=key)


@dataclass(frozen=True)
class SecretAcl(Resource):
    """What somebody may do with a scope."""

    def create(self, w: Workspace, wanted: Value) -> Value:
        """Allow it."""
        w.post(
            "/api/2.0/secrets/acls/put", **{key: wanted[key] for key in ("scope", "principal", "permission")}
        )
        return {"id": f"{wanted['scope']}|||{wanted['principal']}"}

    def read(self, w: Workspace, id: str, state: Value) -> Value | None:
        """What the workspace has."""
        scope, _, principal = id.partition("|||")
        told = found(w, "/api/2.0/secrets/acls/get", scope=scope, principal=principal)
        return None if told is None else {"id": id, "scope": scope, **told}

    def delete(self, w: Workspace, id: str, state: Value) -> None:
        """Take it back."""
        scope, _, principal = id.partition("|||")
        w.post("/api/2.0/secrets/acls/delete", scope=scope, principal=principal)


_CLUSTER = Block(
    {
        "spark_version": _NEEDED,
        "node_type_id": Attribute(),
        "driver_node_type_id": Attribute(),
        "instance_pool_id": Attribute(),
        "driver_instance_pool_id": Attribute(),
        "policy_id": Attribute(),
        "num_workers": _NUMBER,
        "custom_tags": _MAP,
        "spark_conf": _MAP,
        "spark_env_vars": _MAP,
    },
    {
        "autoscale": Block(
            {
                "min_workers": Attribute("number", required=True),
                "max_workers": Attribute("number", required=True),
            },
            most=1,
        )
    },
    most=1,
)
_JOB = Block(
    {
        "id": _ID,
        "name": _NEEDED,
        "max_concurrent_runs": Attribute("number", usual=1),
        "timeout_seconds": _NUMBER,
        "tags": _MAP,
    },
    {
        "schedule": Block(
            {
                "quartz_cron_expression": _NEEDED,
                "timezone_id": _NEEDED,
                "pause_status": Attribute(usual="UNPAUSED"),
            },
            most=1,
        ),
        "email_notifications": Block(
            {"on_start": _TEXTS, "on_success": _TEXTS, "on_failure": _TEXTS}, most=1
        ),
        "job_cluster": Block({"job_cluster_key": _NEEDED}, {"new_cluster": _CLUSTER}),
        "task": Block(
            {
                "task_key": _NEEDED,
                "job_cluster_key": Attribute(),
                "existing_cluster_id": Attribute(),
                "max_retries": _NUMBER,
                "timeout_seconds": _NUMBER,
                "run_if": Attribute(usual="ALL_SUCCESS"),
            },
            {
                "new_cluster": _CLUSTER,
                "depends_on": Block({"task_key": _NEEDED, "outcome": Attribute()}),
                "notebook_task": Block({"notebook_path": _NEEDED, "base_parameters": _MAP}, most=1),
                "spark_python_task": Block({"python_file": _NEEDED, "parameters": _TEXTS}, most=1),
            },
        ),
    },
)
RESOURCES: Mapping[str, Resource] = {
    "databricks_group": Group(Block({"id": _ID, "display_name": _NEEDED})),
    "databricks_cluster_policy": Plain(
        Block(
            {
                "id": _ID,
                "policy_id": _ID,
                "name": _NEEDED,
                "definition": _NEEDED,
                "description": Attribute(),
                "max_clusters_per_user": _NUMBER,
            }
        ),
        "/api/2.0/policies/clusters",
        "policy_id",
    ),
    "databricks_instance_pool": Plain(
        Block(
            {
                "id": _ID,
                "instance_pool_id": _ID,
                "instance_pool_name": _NEEDED,
                "node_type_id": _FIXED,
                "min_idle_instances": _NUMBER,
                "max_capacity": _NUMBER,
                "idle_instance_autotermination_minutes": Attribute("number", required=True),
                "custom_tags": _MAP,
                "preloaded_spark_versions": Attribute("strings", replaces=True),
            }
        ),
        "/api/2.0/instance-pools",
        "instance_pool_id",
    ),
    "databricks_job": Job(_JOB),
    "databricks_permissions": Permissions(
        Block(
            {"id": _ID, **{name: Attribute(replaces=True) for name in _OBJECTS}},
            {
                "access_control": Block(
                    {"permission_level": _NEEDED, **{name: Attribute() for name in _PRINCIPALS}},
                    nesting="set",
                )
            },
        )
    ),
    "databricks_secret_scope": Scope(
        Block({"id": _ID, "name": _FIXED, "initial_manage_principal": Attribute(replaces=True)})
    ),
    "databricks_secret": Secret(
        Block(
            {
                "id": _ID,
                "scope": _FIXED,
                "key": _FIXED,
                "string_value": Attribute(required=True, sensitive=True),
            }
        )
    ),
    "databricks_secret_acl": SecretAcl(
        Block({"id": _ID, "scope": _FIXED, "principal": _FIXED, "permission": _FIXED})
    ),
}
