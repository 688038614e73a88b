"""A resolved bundle brought into a workspace, and what of it is there: files, jobs and clusters, known by a state that lies beside them.

Only what differs is touched: a second deployment of the same changes nothing, and what somebody changed by hand is put back.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labs_lib.cicd.bundle.resolving import Resolved
from labs_lib.cicd.bundle.tree import BundleError
from labs_lib.cicd.rest import Refused, Workspace

MOST_FILES, MOST_FILE_BYTES = 500, 400_000
LEFT_OUT = {"__pycache__", "node_modules", "target", "dist", "build", "spark-warehouse", "metastore_db"}
SECRET = (
    ".tfstate",
    ".tfstate.backup",
    ".tfvars",
)  # what Terraform keeps beside its files, with secrets in clear
STATE = "deployment.json"
PAUSE = 0.2  # seconds between two looks at a run
_LATER = re.compile(r"\$\{resources\.(\w+)\.([\w-]+)\.id\}")
_API = {
    "jobs": ("/api/2.2/jobs", "job_id", "settings", "new_settings", "reset", "delete"),
    "clusters": ("/api/2.1/clusters", "cluster_id", "", "", "edit", "permanent-delete"),
}

Say = Callable[[str], object]


@dataclass
class State:
    """What a deployment left: ids by "jobs.KEY", digests by file, and the commit that it was made from."""

    resources: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    commit: str = ""

    def text(self, resolved: Resolved) -> str:
        """As it lies in the workspace."""
        told = {"version": 1, "bundle": resolved.name, "target": resolved.target, "commit": self.commit}
        return json.dumps(told | {"resources": self.resources, "files": self.files}, indent=1, sort_keys=True)


def own_files(folder: Path) -> dict[str, bytes]:
    """The bundle's files by path: all but hidden ones, what programs leave behind and Terraform's states. Raises BundleError if they are too many or too large."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if (
            any(part.startswith(".") or part in LEFT_OUT for part in parts)
            or path.name.endswith(SECRET)
            or path.is_symlink()
            or not path.is_file()
        ):
            continue
        if path.stat().st_size > MOST_FILE_BYTES:
            raise BundleError(
                f"{path.relative_to(folder)} has more than {MOST_FILE_BYTES:,} bytes; a bundle is code, data lies elsewhere."
            )
        found["/".join(parts)] = path.read_bytes()
        if len(found) > MOST_FILES:
            raise BundleError(f"The bundle's folder has more than {MOST_FILES} files; is it the right one?")
    return found


def commit_of(folder: Path) -> str:
    """The commit that a folder stands at, with "-dirty" behind it if there is something that isn't committed; "" outside a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=30)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if commit and git("status", "--porcelain", "--", ".") else commit
    except (OSError, subprocess.TimeoutExpired):
        return ""


def state_of(w: Workspace, resolved: Resolved) -> State:
    """What was deployed before."""
    try:
        answer = w.get("/api/2.0/workspace/export", path=f"{resolved.state_path}/{STATE}", format="AUTO")
        told = json.loads(base64.b64decode(answer["content"]))
        return State(dict(told["resources"]), dict(told["files"]), str(told.get("commit", "")))
    except Refused as error:
        if error.is_gone:
            return State()
        raise
    except (ValueError, KeyError, TypeError):
        raise BundleError(
            f"{resolved.state_path}/{STATE} is no state of a deployment; somebody changed it. Put it right or take it away."
        ) from None


def deploy(w: Workspace, resolved: Resolved, files: Mapping[str, bytes], commit: str, say: Say) -> State:
    """Bring files and resources into the workspace; returns the new state. Raises Refused, and then what was done by then is in the state."""
    state = state_of(w, resolved)
    before = state.text(resolved)
    made: set[str] = set()
    try:
        _upload(w, resolved, files, state, say)
        for key in _in_order(resolved):
            _bring(w, resolved, key, state, say)
            made.add(key)
        for key in sorted(set(state.resources) - made):
            _remove(w, key, state, say)
        state.commit = commit
    finally:
        if state.text(resolved) != before:
            _put(w, f"{resolved.state_path}/{STATE}", state.text(resolved).encode())
    return state


def _upload(w: Workspace, resolved: Resolved, files: Mapping[str, bytes], state: State, say: Say) -> None:
    told = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    changed = [path for path in told if state.files.get(path) != told[path]]
    for path in changed:
        _put(w, f"{resolved.file_path}/{path}", files[path])
        state.files[path] = told[path]
    gone = [path for path in state.files if path not in told]
    for path in gone:
        _forget(w, f"{resolved.file_path}/{path}")
        del state.files[path]
    say(f"files: {len(changed)} uploaded, {len(gone)} removed, {len(told) - len(changed)} as they were")


def _put(w: Workspace, path: str, content: bytes) -> None:
    w.post("/api/2.0/workspace/mkdirs", path=path.rpartition("/")[0])
    text = base64.b64encode(content).decode()
    w.post("/api/2.0/workspace/import", path=path, content=text, format="AUTO", overwrite=True)


def _forget(w: Workspace, path: str, recursive: bool = False) -> None:
    try:
        w.post("/api/2.0/workspace/delete", path=path, recursive=recursive)
    except Refused as error:
        if not error.is_gone:
            raise


def _in_order(resolved: Resolved) -> list[str]:
    """The keys of all resources, each behind those whose id it needs."""
    todo = {
        f"{kind}.{key}": settings
        for kind, named in resolved.resources.items()
        for key, settings in named.items()
    }
    done: list[str] = []
    while todo:
        ready = [
            key
            for key, told in todo.items()
            if not {f"{k}.{n}" for k, n in _LATER.findall(json.dumps(told))} & set(todo) - {key}
        ]
        if not ready:
            raise BundleError(f"The resources {' and '.join(sorted(todo))} need each other's ids.")
        done += ready
        todo = {key: told for key, told in todo.items() if key not in ready}
    return done


def _bring(w: Workspace, resolved: Resolved, key: str, state: State, say: Say) -> None:
    kind, name = key.split(".", 1)
    at, id_, inside, wrapped, change, _ = _API[kind]
    text = _LATER.sub(
        lambda match: state.resources[f"{match[1]}.{match[2]}"], json.dumps(resolved.resources[kind][name])
    )
    wanted = json.loads(text)
    there = _there(w, kind, state.resources.get(key))
    try:
        if there is None:
            made = w.post(f"{at}/create", **wanted)
            state.resources[key] = str(made[id_])
            said = "created"
        elif _holds(there.get(inside, there) if inside else there, wanted) and not _more(
            there.get(inside, {}), wanted
        ):
            said = "as it was"
        else:
            w.post(
                f"{at}/{change}",
                **{id_: _id(kind, state.resources[key])},
                **({wrapped: wanted} if wrapped else wanted),
            )
            said = "changed"
        if permissions := resolved.permissions.get(key):
            _permit(w, kind, state.resources[key], permissions)
    except Refused as error:
        raise Refused(f"{resolved.spots[key]}: the workspace refuses {key}: {error}", error.code) from None
    say(f"{key}: {said}")


def _id(kind: str, id: str) -> int | str:
    return int(id) if kind == "jobs" else id


def _there(w: Workspace, kind: str, id: str | None) -> dict[str, Any] | None:
    if id is None:
        return None
    at, name = _API[kind][:2]
    try:
        return w.get(f"{at}/get", **{name: id})
    except Refused as error:
        if error.is_gone or error.code == "INVALID_PARAMETER_VALUE":
            return None
        raise


def _holds(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there: the workspace adds defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            key in there and _holds(there[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_holds, there, wanted))
    return bool(there == wanted)


def _more(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a job has something that nobody asked for, beside the workspace's own defaults."""
    usual: tuple[Any, ...] = ({}, [], 0, None, "")
    return any(
        value not in usual and key not in ("format", "max_concurrent_runs")
        for key, value in there.items()
        if key not in wanted
    )


def _permit(w: Workspace, kind: str, id: str, levels: list[dict[str, Any]]) -> None:
    entries = [
        {"permission_level" if key == "level" else key: value for key, value in each.items()}
        for each in levels
    ]
    w.ask("PATCH", f"/api/2.0/permissions/{kind}/{id}", {"access_control_list": entries})


def _remove(w: Workspace, key: str, state: State, say: Say) -> None:
    kind = key.split(".", 1)[0]
    if _there(w, kind, state.resources[key]) is not None:
        at, id_ = _API[kind][:2]
        w.post(f"{at}/{_API[kind][5]}", **{id_: _id(kind, state.resources[key])})
    del state.resources[key]
    say(f"{key}: deleted")


def summary(w: Workspace, resolved: Resolved) -> list[tuple[str, str, str]]:
    """Key, name and what is to be said of each resource that is declared or deployed."""
    state = state_of(w, resolved)
    told = []
    for key in _in_order(resolved):
        kind, name = key.split(".", 1)
        settings = resolved.resources[kind][name]
        there = _there(w, kind, state.resources.get(key))
        told.append(
            (
                key,
                str(settings.get("name") or settings.get("cluster_name")),
                "deployed" if there else "not deployed",
            )
        )
    known = {key for key, _, _ in told}
    return told + [
        (key, "", "no longer in the bundle") for key in sorted(state.resources) if key not in known
    ]


def destroy(w: Workspace, resolved: Resolved, say: Say) -> None:
    """Take everything away that deployments of this target left."""
    state = state_of(w, resolved)
    for key in sorted(state.resources, reverse=True):
        _remove(w, key, state, say)
    _forget(w, resolved.root_path, recursive=True)
    say(f"files: {len(state.files)} removed")


def run(w: Workspace, resolved: Resolved, name: str, say: Say, patience: float = 3600.0) -> bool:
    """Run a deployed job to its end; whether it succeeded. Raises BundleError if there is no such job, or it isn't deployed."""
    jobs = resolved.resources.get("jobs", {})
    if name not in jobs:
        raise BundleError(f"The bundle has no job {name!r}; it has {', '.join(sorted(jobs)) or 'none'}.")
    job_id = state_of(w, resolved).resources.get(f"jobs.{name}")
    if job_id is None:
        raise BundleError(f"The job {name} is not deployed to {resolved.target}; deploy first.")
    run_id = w.post("/api/2.2/jobs/run-now", job_id=int(job_id))["run_id"]
    say(f"{jobs[name]['name']}: started")
    end = time.monotonic() + patience
    while True:
        told = w.get("/api/2.2/jobs/runs/get", run_id=run_id)
        state = told["state"]
        if state["life_cycle_state"] in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR"):
            break
        if time.monotonic() > end:
            raise BundleError(f"{jobs[name]['name']} has not ended within {patience:.0f} seconds.")
        time.sleep(PAUSE)
    result = state.get("result_state", state["life_cycle_state"])
    say(f"{jobs[name]['name']}: {result}")
    for task in told.get("tasks", []):
        if task["state"].get("result_state") not in ("SUCCESS", None) and (
            why := task["state"].get("state_message")
        ):
            say(f"  {task['task_key']}: {why}")
    return bool(result == "SUCCESS")
