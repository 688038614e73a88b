"""A bundle's files, and what they come to for one target: includes, variables, overrides, modes, references."""

from __future__ import annotations

import fnmatch
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from labs_lib.cicd.bundle import schema
from labs_lib.cicd.bundle.tree import MOST_PARTS, BundleError, Node, Spot, kind, read

MAIN = ("databricks.yml", "databricks.yaml")
_REFERENCE = re.compile(r"\$\{([^{}$]*)\}")
_NAME = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+|\[[0-9]+\])*")
_LATER = re.compile(r"resources\.(\w+)\.([\w-]+)\.id")
_SECRET = re.compile(r"dapi[0-9a-f]{32}|dose[0-9a-f]{32}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.")
_HOST = re.compile(
    r"https?://[\w.-]*(databricks|azuredatabricks|localhost|127\.0\.0\.1)[\w.:-]*", re.IGNORECASE
)
_KEYED = {"tasks": "task_key", "job_clusters": "job_cluster_key", "parameters": "name"}
_FILES = {"notebook_path", "python_file", "path"}
LONGEST = 100_000  # characters that a text may come to


@dataclass(frozen=True)
class Resolved:
    """A bundle as it is for one target. `resources` are plain settings by kind and key; `${resources.…id}` in them waits for the deployment."""

    name: str
    target: str
    mode: str | None
    variables: dict[str, Any]
    root_path: str
    file_path: str
    state_path: str
    resources: dict[str, dict[str, dict[str, Any]]]
    permissions: dict[str, list[dict[str, Any]]]  # by "jobs.KEY"
    spots: dict[str, Spot] = field(default_factory=dict)  # where each resource stands

    def shown(self) -> dict[str, Any]:
        """As `labs bundle validate --output json` prints it."""
        return {
            "bundle": {"name": self.name, "target": self.target, "mode": self.mode},
            "variables": self.variables,
            "workspace": {
                "root_path": self.root_path,
                "file_path": self.file_path,
                "state_path": self.state_path,
            },
            "resources": self.resources,
        }


@dataclass(frozen=True)
class Bundle:
    """All files of a bundle as one tree, references not yet resolved."""

    root: Node
    paths: frozenset[str]  # of all files that are there, for those that tasks name

    @property
    def name(self) -> str:
        """What the bundle is called."""
        return str(_at(self.root, "bundle", "name"))

    @property
    def targets(self) -> dict[str, Node]:
        """Its targets by name."""
        return dict(targets.items()) if (targets := self.root.child("targets")) else {}


def load(files: Mapping[str, str], paths: frozenset[str] | None = None) -> Bundle:
    """Read a bundle from the texts of its YAML files, by path from the bundle's folder; `paths` are those of all its files.

    Raises BundleError for what is wrong before any target is chosen.
    """
    main = next((name for name in MAIN if name in files), None)
    if main is None:
        raise BundleError(f"There is no {MAIN[0]} here; it is what makes a folder a bundle.")
    root = _checked(read(files[main], main))
    included: list[str] = []
    for pattern in include.value if (include := root.child("include")) else []:
        found = [
            path
            for path in sorted(files)
            if fnmatch.fnmatchcase(path, posixpath.normpath(pattern.value)) and path != main
        ]
        if not found and not any(c in pattern.value for c in "*?["):
            raise BundleError(f"{pattern.at}: there is no file {pattern.value} to include.")
        included += [path for path in found if path not in included]
    for path in included:
        part = _checked(read(files[path], path))
        for key in ("bundle", "include"):
            if there := part.child(key):
                raise BundleError(f"{there.at}: {key!r} stands in an included file; it belongs in {main}.")
        root = _joined(root, part, "")
    name = root.child("bundle")
    if name is None or name.child("name") is None:
        raise BundleError(f"{main} has no bundle.name; everything that is deployed is known by it.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,62}", str(_at(root, "bundle", "name"))):
        raise BundleError(
            f"{name.at}: bundle.name is {_at(root, 'bundle', 'name')!r}; letters, digits, '-', '_' and '.' make a name."
        )
    return Bundle(root, frozenset(files) if paths is None else paths)


def _checked(root: Node) -> Node:
    """A file whose keys and types are a bundle's, and in which no host and no token stands."""
    for key in ("host", "profile"):
        for place, node in _workspaces(root):
            if there := node.child(key):
                raise BundleError(
                    f"{there.at}: {place}.{key} names a workspace. The same files go to every one of them: "
                    "take it out, DATABRICKS_HOST says where to."
                )
    for scalar in root.scalars():
        text = str(scalar.value)
        if _SECRET.search(text):
            raise BundleError(
                f"{scalar.at}: here stands a token. Take it out and revoke it; DATABRICKS_TOKEN brings one that is in no file."
            )
        if _HOST.search(text):
            raise BundleError(
                f"{scalar.at}: here stands a workspace's address. Take it out, DATABRICKS_HOST says where to."
            )
    return schema.check(root, {"ref": "bundle's file"}, "", open_=True)


def _workspaces(root: Node) -> Iterator[tuple[str, Node]]:
    if there := root.child("workspace"):
        yield "workspace", there
    for name, target in targets.items() if (targets := root.child("targets")) else ():
        if there := target.child("workspace"):
            yield f"targets.{name}.workspace", there


def _at(node: Node, *keys: str) -> Any:
    for key in keys:
        found = node.child(key)
        if found is None:
            return None
        node = found
    return node.value


def _joined(one: Node, other: Node, path: str) -> Node:
    """Two files' trees as one. Raises BundleError for what both say."""
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        both = dict(one.value)
        for key, node in other.value.items():
            both[key] = _joined(both[key], node, f"{path}.{key}".lstrip(".")) if key in both else node
        return Node(both, one.at)
    raise BundleError(f"{other.at}: {path} stands here and in {one.at}; one of the two has to go.")


def _over(base: Node, override: Node) -> Node:
    """A tree with a target's own over it: mappings go together, tasks and job clusters by their keys, other lists are added to, the rest is replaced."""
    if isinstance(base.value, dict) and isinstance(override.value, dict):
        merged = dict(base.value)
        for key, node in override.value.items():
            if key not in merged:
                merged[key] = node
            elif key in _KEYED and isinstance(node.value, list) and isinstance(merged[key].value, list):
                merged[key] = _by_key(merged[key], node, _KEYED[key])
            else:
                merged[key] = _over(merged[key], node)
        return Node(merged, base.at)
    if isinstance(base.value, list) and isinstance(override.value, list):
        return Node([*base.value, *override.value], base.at)
    return override


def _by_key(base: Node, override: Node, key: str) -> Node:
    merged = list(base.value)
    for node in override.value:
        same = [n for n, each in enumerate(merged) if _at(each, key) == _at(node, key) is not None]
        if same:
            merged[same[0]] = _over(merged[same[0]], node)
        else:
            merged.append(node)
    return Node(merged, base.at)


def chosen(bundle: Bundle, target: str | None = None) -> str:
    """The target of that name, or the bundle's default. Raises BundleError if there is none."""
    names = list(bundle.targets)
    if not names:
        raise BundleError(
            f"The bundle {bundle.name} has no targets; add a mapping `targets` with one for each environment."
        )
    default = [name for name, node in bundle.targets.items() if _at(node, "default") is True]
    if len(default) > 1:
        raise BundleError(
            f"{bundle.targets[default[1]].at}: {' and '.join(default)} are both the default target; one may be."
        )
    if target is not None:
        if target not in names:
            near = get_close_matches(target, names, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise BundleError(f"There is no target {target!r}; there are {', '.join(names)}.{meant}")
        return target
    if not default and len(names) > 1:
        raise BundleError(
            f"Which target? Say it with -t: {', '.join(names)}; or give one of them `default: true`."
        )
    return default[0] if default else names[0]


def resolve(
    bundle: Bundle,
    target: str | None,
    user: str,
    given: Mapping[str, str] | None = None,
    commit: str | None = None,
) -> Resolved:
    """What the bundle comes to for a target, deployed by that user. `given` are values of variables from outside.

    Raises BundleError: a variable without a value, a cycle, an unknown reference, key or type, a file that isn't there.
    """
    return _Resolving(bundle, chosen(bundle, target), user, dict(given or {}), commit).done()


class _Resolving:
    def __init__(
        self, bundle: Bundle, target: str, user: str, given: dict[str, str], commit: str | None
    ) -> None:
        self.bundle, self.target, self.user, self.given = bundle, target, user, given
        self.own = (
            bundle.targets[target]
            if bundle.targets[target].value is not None
            else Node({}, bundle.targets[target].at)
        )
        self.mode = _at(self.own, "mode")
        own = Node(
            {k: v for k, v in self.own.items() if k not in ("variables", "mode", "default")}, self.own.at
        )
        base = Node(
            {k: v for k, v in bundle.root.items() if k not in ("targets", "variables", "include")},
            bundle.root.at,
        )
        self.tree = _over(base, own)
        self.declared = dict(there.items()) if (there := bundle.root.child("variables")) else {}
        self.under_way: list[str] = []
        self.known: dict[
            str, Node
        ] = {}  # what references came to: each is worked out once, however often it stands somewhere
        self.sizes: dict[int, int] = {}
        self.short_name = re.sub(r"\W", "_", user.partition("@")[0])
        self.facts = {
            "bundle.target": target,
            "bundle.environment": target,
            "bundle.name": bundle.name,
            "bundle.git.commit": commit or "",
            "workspace.current_user.userName": user,
            "workspace.current_user.user_name": user,
            "workspace.current_user.short_name": self.short_name,
            "workspace.current_user.domain_friendly_name": re.sub(r"\W", "-", user.partition("@")[0]),
        }
        self.paths: dict[str, str] = {}

    def done(self) -> Resolved:
        variables = self._variables()
        root = self._path("root_path", f"/Users/{self.user}/.bundle/{self.bundle.name}/{self.target}")
        files, state = self._path("file_path", f"{root}/files"), self._path("state_path", f"{root}/state")
        if self.mode == "production" and (self._below_home(root)) and self.tree.child("run_as") is None:
            raise BundleError(
                f"{self.own.at}: {self.target} is in production mode and would be deployed to {root}, everybody's own copy to his own home. "
                "Give it a workspace.root_path that all share, such as /Shared/.bundle/${bundle.name}/${bundle.target}."
            )
        resources, permissions, spots = self._resources(files)
        return Resolved(
            self.bundle.name,
            self.target,
            self.mode,
            variables,
            root,
            files,
            state,
            resources,
            permissions,
            spots,
        )

    def _below_home(self, path: str) -> bool:
        return path.removeprefix("/Workspace").startswith("/Users/")

    def _path(self, name: str, default: str) -> str:
        node = workspace.child(name) if (workspace := self.tree.child("workspace")) else None
        found = default if node is None else self.text(node)
        if found.startswith("~/"):
            found = f"/Users/{self.user}{found[1:]}"
        if not found.startswith("/") or ".." in found.split("/"):
            raise BundleError(
                f"{node.at if node else self.own.at}: workspace.{name} is {found!r}; it has to be an absolute path of the workspace."
            )
        self.paths[name] = found
        return found

    def _variables(self) -> dict[str, Any]:
        own = dict(there.items()) if (there := self.own.child("variables")) else {}
        for name, at in [(n, node.at) for n, node in own.items()] + [(n, None) for n in self.given]:
            if name not in self.declared:
                near = get_close_matches(name, list(self.declared), 1)
                meant = f"did you mean {near[0]}?" if near else "declare it under `variables`."
                raise BundleError(f"{f'{at}: ' if at else ''}there is no variable {name}; {meant}")
        return {name: self.node(self._variable(name)).plain() for name in self.declared}

    def _variable(self, name: str) -> Node:
        declared = self.declared[name]
        complex_ = _at(declared, "type") == "complex"
        if name in self.given:
            return Node(self.given[name], Spot(f"the value of {name} that was given", 1))
        own = self.own.child("variables")
        found = own.child(name) if own else None
        if (
            found is not None
            and isinstance(found.value, dict)
            and set(found.value) <= {"default", "description", "type"}
            and found.value
        ):
            found = found.child("default")
        found = declared.child("default") if found is None else found
        if found is None:
            raise BundleError(
                f"{declared.at}: the variable {name} has no value in {self.target}: give it one under targets.{self.target}.variables, "
                f"a default, or --var {name}=…"
            )
        if isinstance(found.value, dict | list) and not complex_:
            raise BundleError(
                f"{found.at}: the value of {name} is a {kind(found.value)}; a variable that holds one has `type: complex`."
            )
        return found

    def node(self, node: Node, path: str = "") -> Node:
        """A part with all references in it resolved."""
        value = node.value
        if isinstance(value, dict):
            return Node({key: self.node(each) for key, each in value.items()}, node.at)
        if isinstance(value, list):
            return Node([self.node(each) for each in value], node.at)
        if not isinstance(value, str) or "${" not in value:
            return node
        if whole := _REFERENCE.fullmatch(value):  # as it is, with its type
            return Node(self.reference(whole[1], node.at).value, node.at)
        done = _REFERENCE.sub(lambda match: self._inline(match[1], node.at), value)
        if "${" in _LATER_TEXT.sub("", done):
            raise BundleError(f"{node.at}: {value!r} has a ${{ that begins no reference.")
        if len(done) > LONGEST:
            raise BundleError(f"{node.at}: this comes to more than {LONGEST:,} characters.")
        return Node(done, node.at)

    def text(self, node: Node) -> str:
        """A part that has to be text."""
        value = self.node(node).value
        if not isinstance(value, str):
            raise BundleError(f"{node.at}: this is a {kind(value)}, and text is wanted.")
        return value

    def _inline(self, name: str, at: Spot) -> str:
        value = self.reference(name, at).value
        if isinstance(value, dict | list):
            raise BundleError(f"{at}: ${{{name}}} is a {kind(value)}, which can't stand within a text.")
        return json.dumps(value) if isinstance(value, bool) or value is None else str(value)

    def reference(self, name: str, at: Spot) -> Node:
        """What a reference stands for. Raises BundleError for one that leads nowhere, or to itself."""
        if not _NAME.fullmatch(name):
            raise BundleError(
                f"{at}: ${{{name}}} is no reference; it is like ${{var.name}} or ${{bundle.target}}."
            )
        if name in self.facts:
            return Node(self.facts[name], at)
        if later := _LATER.fullmatch(name):
            if (
                self.tree.child("resources") is None
                or _at(self.tree, "resources", later[1], later[2]) is None
            ):
                raise BundleError(
                    f"{at}: ${{{name}}} leads nowhere; the bundle has no {later[1]} {later[2]}."
                )
            return Node(f"${{{name}}}", at)
        if name in self.known:
            return self.known[name]
        if name in self.under_way:
            circle = " → ".join([*self.under_way[self.under_way.index(name) :], name])
            raise BundleError(f"{at}: references go in a circle: {circle}.")
        self.under_way.append(name)
        try:
            found = self.known[name] = self.node(self._found(name, at))
        finally:
            self.under_way.pop()
        if self._size(found) > MOST_PARTS:
            raise BundleError(f"{at}: ${{{name}}} comes to more than {MOST_PARTS:,} parts.")
        return found

    def _size(self, node: Node) -> int:
        """How many parts there are below, written out; the same part is counted over and over, and looked at once."""
        if not isinstance(node.value, dict | list):
            return 1
        if id(node) not in self.sizes:
            inner = node.value.values() if isinstance(node.value, dict) else node.value
            self.sizes[id(node)] = 1 + sum(self._size(each) for each in inner)
        return self.sizes[id(node)]

    def _found(self, name: str, at: Spot) -> Node:
        parts = [part for part in re.split(r"[.\[\]]", name) if part]
        if parts[0] == "var":
            if len(parts) < 2 or parts[1] not in self.declared:
                near = get_close_matches(parts[1] if len(parts) > 1 else "", list(self.declared), 1)
                meant = f"did you mean ${{var.{near[0]}}}?" if near else "declare it under `variables`."
                raise BundleError(f"{at}: ${{{name}}} leads nowhere; {meant}")
            node, parts = self.node(self._variable(parts[1])), parts[2:]
        elif parts[0] == "workspace" and len(parts) == 2 and parts[1] in self.paths:
            return Node(self.paths[parts[1]], at)
        elif parts[0] in ("bundle", "workspace", "resources"):
            node = self.tree
        else:
            raise BundleError(
                f"{at}: ${{{name}}} leads nowhere; there are var, bundle, workspace and resources."
            )
        for part in parts:
            inner = node.child(part)
            if (
                inner is None
                and isinstance(node.value, list)
                and part.isdecimal()
                and int(part) < len(node.value)
            ):
                inner = node.value[int(part)]
            if inner is None:
                raise BundleError(f"{at}: ${{{name}}} leads nowhere; there is no {part!r} there.")
            node = inner
        return node

    def _resources(
        self, files: str
    ) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Spot]]:
        found: dict[str, Any] = {}
        permissions: dict[str, list[dict[str, Any]]] = {}
        spots: dict[str, Spot] = {}
        shared = self.tree.child("permissions")
        shared = (
            schema.check(self.node(shared), {"list": {"ref": "permission"}}, "permissions")
            if shared
            else None
        )
        run_as = self.tree.child("run_as")
        for kind_, named in resources.items() if (resources := self.tree.child("resources")) else ():
            for key, node in named.items():
                ref = {"jobs": "job", "clusters": "cluster"}[kind_]
                whole = schema.check(self.node(node), {"ref": ref}, f"resources.{kind_}.{key}")
                told = self._with_files(whole, files).plain()
                levels = (shared.plain() if shared else []) + (told.pop("permissions", None) or [])
                if levels:
                    permissions[f"{kind_}.{key}"] = levels
                if kind_ == "jobs":
                    told.setdefault("name", key)
                    if run_as and "run_as" not in told:
                        told["run_as"] = schema.check(self.node(run_as), {"ref": "run_as"}, "run_as").plain()
                else:
                    told.setdefault("cluster_name", key)
                found.setdefault(kind_, {})[key] = self._as_mode(kind_, told)
                spots[f"{kind_}.{key}"] = node.at
        return found, permissions, spots

    def _as_mode(self, kind_: str, told: dict[str, Any]) -> dict[str, Any]:
        """What the target's mode, and its presets, make of a resource."""
        development = self.mode == "development"
        presets: dict[str, Any] = {}
        if node := self.tree.child("presets"):
            presets = schema.check(self.node(node), {"ref": "presets"}, "presets").plain()
        prefix = presets.get("name_prefix", f"[dev {self.short_name}] " if development else "")
        tags = presets.get("tags", {}) | ({"dev": self.short_name} if development else {})
        name = "name" if kind_ == "jobs" else "cluster_name"
        told[name] = f"{prefix}{told[name]}"
        if tags:
            field_ = "tags" if kind_ == "jobs" else "custom_tags"
            told[field_] = tags | (told.get(field_) or {})
        if kind_ == "jobs":
            pause = presets.get("trigger_pause_status", "PAUSED" if development else None)
            if (schedule := told.get("schedule")) and pause and "pause_status" not in schedule:
                told["schedule"] = schedule | {"pause_status": pause}
            most = presets.get("jobs_max_concurrent_runs", 4 if development else None)
            if most is not None and "max_concurrent_runs" not in told:
                told["max_concurrent_runs"] = most
        return told

    def _with_files(self, node: Node, files: str) -> Node:
        """The same with paths of the bundle's own files as they will be in the workspace."""
        if isinstance(node.value, list):
            return Node([self._with_files(each, files) for each in node.value], node.at)
        if not isinstance(node.value, dict):
            return node
        return Node(
            {
                key: Node(self._file(each, files), each.at)
                if key in _FILES and isinstance(each.value, str)
                else self._with_files(each, files)
                for key, each in node.value.items()
            },
            node.at,
        )

    def _file(self, node: Node, files: str) -> str:
        path = str(node.value)
        if path.startswith("/"):
            return path
        there = posixpath.normpath(posixpath.join(posixpath.dirname(node.at.file), path))
        if there.startswith(".."):
            raise BundleError(f"{node.at}: {path} is outside the bundle's folder.")
        if there not in self.bundle.paths:
            raise BundleError(
                f"{node.at}: there is no file {there}; a path counts from the folder of the file that names it."
            )
        return f"{files}/{there}"


_LATER_TEXT = re.compile(r"\$\{" + _LATER.pattern + r"\}")
