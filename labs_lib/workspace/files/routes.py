"""The workspace's tree in the store: folders, notebooks and files, with permissions inherited along the folders."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from starlette.responses import Response

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.files import rules
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Strict, validated
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound
from labs_lib.workspace.permissions import lists

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent TEXT NOT NULL, kind TEXT NOT NULL, language TEXT, format TEXT,
    content BLOB, created INTEGER NOT NULL, modified INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (parent);
"""
LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
TYPES = {"DIRECTORY": "directories", "NOTEBOOK": "notebooks", "FILE": "files"}
OPEN = ("/", "/Users")  # folders that everybody sees, though not everything in them

Path = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class At(Model):
    path: Path


class Delete(At):
    recursive: bool = False


class Import(At):
    content: str | bytes = ""
    format: str | None = None
    language: rules.Language | None = None
    overwrite: bool = False


class Export(At):
    format: str | None = None
    direct_download: bool = False


def prepare(ctx: Context) -> None:
    """Have the folders that every workspace has; in /Shared everybody may do everything."""
    for path in ("/", "/Users", "/Shared"):
        if _row(ctx, path) is None:
            _add(ctx, path, "DIRECTORY")
    shared = str(_found(ctx, "/Shared")["id"])
    if not list(lists.grants(ctx, "directories", shared)):
        lists.put(ctx, "directories", shared, identity.the(ctx.db, "Group", "users").id, "CAN_MANAGE")


def read(ctx: Context, path: str, level: str = "CAN_RUN") -> rules.Item:
    """A notebook or file that the caller has that level on. Raises NotFound, InvalidParameter for a folder, PermissionDenied."""
    row = _found(ctx, rules.normal(path))
    _require(ctx, row, level)
    if row["kind"] == "DIRECTORY":
        raise InvalidParameter(f"{row['path']} is a folder, and a notebook or a file is wanted.")
    return _item(row)


def below(ctx: Context, folder: str) -> list[rules.Item]:
    """All notebooks and files below a folder that the caller may read."""
    rows = _inside(ctx, folder.rstrip("/"))
    return [_item(row) for row in rows if row["kind"] != "DIRECTORY" and _may(ctx, row, "CAN_READ")]


def _inside(ctx: Context, path: str) -> list[sqlite3.Row]:
    query = "SELECT * FROM objects WHERE substr(path, 1, ?) = ?"
    return ctx.db.execute(query, (len(path) + 1, f"{path}/")).fetchall()


def _item(row: sqlite3.Row) -> rules.Item:
    return rules.Item(row["path"], row["kind"], row["content"], row["language"], row["format"])


def _row(ctx: Context, path: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = ctx.db.execute("SELECT * FROM objects WHERE path = ?", (path,)).fetchone()
    return row


def _found(ctx: Context, path: str) -> sqlite3.Row:
    """The object at a normal path; the caller's own folder is made when it is first asked for. Raises NotFound."""
    home = f"/Users/{ctx.caller.user_name}"
    if (path == home or path.startswith(f"{home}/")) and "@" in home and _row(ctx, home) is None:
        lists.put(ctx, "directories", str(_add(ctx, home, "DIRECTORY")), ctx.caller.id, "CAN_MANAGE")
    row = _row(ctx, path)
    if row is None:
        raise NotFound(f"There is no object at the path {path} in the workspace.")
    return row


def _require(ctx: Context, row: sqlite3.Row, level: str) -> None:
    if level != "CAN_READ" or row["path"] not in OPEN:
        permissions.require(ctx, TYPES[row["kind"]], str(row["id"]), level)


def _may(ctx: Context, row: sqlite3.Row, level: str) -> bool:
    return row["path"] in OPEN or permissions.allowed(ctx, TYPES[row["kind"]], str(row["id"]), level)


def _add(ctx: Context, path: str, kind: str, item: rules.Item | None = None) -> int:
    number = store.next_id(ctx.db, "object")
    what = {"language": item.language, "format": item.format, "content": item.content} if item else {}
    _insert(ctx, number, path, kind, **what)
    return number


def _insert(ctx: Context, id: int, path: str, kind: str, **what: object) -> None:
    parent = rules.parent(path) if path != "/" else ""
    store.insert(
        ctx.db,
        "objects",
        id=id,
        path=path,
        parent=parent,
        kind=kind,
        created=ctx.now,
        modified=ctx.now,
        **what,
    )


def _mkdirs(ctx: Context, at: At) -> None:
    make_folders(ctx, rules.normal(at.path))


def make_folders(ctx: Context, path: str) -> None:
    """Make a folder and those above it that are missing. Raises AlreadyExists if something else is in the way, PermissionDenied."""
    try:
        row = _found(ctx, path)
    except NotFound:
        make_folders(ctx, rules.parent(path))
        _require(ctx, _found(ctx, rules.parent(path)), "CAN_EDIT")
        _add(ctx, path, "DIRECTORY")
        return
    if row["kind"] != "DIRECTORY":
        raise AlreadyExists(f"{path} is there already and is no folder.")


def _import(ctx: Context, new: Import) -> None:
    content = new.content
    if isinstance(content, str):
        try:
            content = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidParameter("content is no base64.") from None
    put(ctx, rules.imported(rules.normal(new.path), content, new.format, new.language), new.overwrite)


def put(ctx: Context, item: rules.Item, overwrite: bool) -> None:
    """Put an object into its folder. Raises NotFound if the folder is missing, AlreadyExists, PermissionDenied."""
    folder = _found(ctx, rules.parent(item.path))
    if folder["kind"] != "DIRECTORY":
        raise InvalidParameter(f"{folder['path']} is no folder, so {item.path} can't be in it.")
    row = _row(ctx, item.path)
    if row is None:
        _require(ctx, folder, "CAN_EDIT")
        _add(ctx, item.path, item.kind, item)
        return
    _require(ctx, row, "CAN_EDIT")
    if not overwrite or row["kind"] != item.kind:
        way = "" if row["kind"] == item.kind else f", and it is a {row['kind'].lower()}"
        raise AlreadyExists(f"{item.path} is there already{way}.")
    what = {"language": item.language, "format": item.format, "content": item.content}
    store.update(ctx.db, "objects", row["id"], **what, modified=ctx.now)


def _export(ctx: Context, wanted: Export) -> dict[str, Any] | Response:
    path = rules.normal(wanted.path)
    row = _found(ctx, path)
    _require(ctx, row, "CAN_READ")
    if row["kind"] == "DIRECTORY":
        raise InvalidParameter(f"{path} is a folder; this workspace exports single notebooks and files.")
    content, kind = rules.exported(_item(row), wanted.format)
    if wanted.direct_download:
        return Response(content, media_type="application/octet-stream")
    return {"content": base64.b64encode(content).decode(), "file_type": kind}


def _delete(ctx: Context, which: Delete) -> None:
    path = rules.normal(which.path)
    row = _found(ctx, path)
    _require(ctx, row, "CAN_MANAGE")
    if path in (*OPEN, "/Shared"):
        raise InvalidParameter(f"The folder {path} belongs to the workspace and can't be deleted.")
    inside = _inside(ctx, path)
    if inside and not which.recursive:
        raise rules.NotEmpty(f"The folder {path} is not empty; delete it with recursive.")
    for gone in (row, *inside):
        ctx.db.execute("DELETE FROM objects WHERE id = ?", (gone["id"],))
        permissions.forget(ctx, TYPES[gone["kind"]], str(gone["id"]))


def _status(ctx: Context, at: At) -> dict[str, Any]:
    row = _found(ctx, rules.normal(at.path))
    _require(ctx, row, "CAN_READ")
    return _shown(row)


def _list(ctx: Context, at: At) -> dict[str, Any]:
    row = _found(ctx, rules.normal(at.path))
    _require(ctx, row, "CAN_READ")
    rows = [row]
    if row["kind"] == "DIRECTORY":
        rows = ctx.db.execute(
            "SELECT * FROM objects WHERE parent = ? ORDER BY path", (row["path"],)
        ).fetchall()
    return {"objects": [_shown(row) for row in rows if _may(ctx, row, "CAN_READ")]}


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    told = {
        "object_id": row["id"],
        "object_type": row["kind"],
        "path": row["path"],
        "resource_id": str(row["id"]),
    }
    if row["kind"] == "DIRECTORY":
        return told
    told |= {"created_at": row["created"], "modified_at": row["modified"]}
    return told | (
        {"language": row["language"]} if row["kind"] == "NOTEBOOK" else {"size": len(row["content"])}
    )


def _registered(kind: str) -> None:
    def find(ctx: Context, id: str) -> sqlite3.Row | None:
        row: sqlite3.Row | None = ctx.db.execute(
            "SELECT path, parent FROM objects WHERE id = ? AND kind = ?", (id if id.isdecimal() else -1, kind)
        ).fetchone()
        return row

    def parent(ctx: Context, id: str) -> tuple[str, str] | None:
        row = find(ctx, id)
        folder = _row(ctx, row["parent"]) if row else None
        return ("directories", str(folder["id"])) if folder else None

    permissions.register(TYPES[kind], LEVELS, lambda ctx, id: find(ctx, id) is not None, parent)


for _kind in TYPES:
    _registered(_kind)


class _Object(Strict):
    id: int = Field(gt=0)
    path: Path
    kind: Literal["DIRECTORY", "NOTEBOOK", "FILE"]
    language: rules.Language | None = None
    format: Literal["SOURCE", "JUPYTER"] | None = None
    content: str | None = None


class _State(Strict):
    objects: list[_Object]


def export(ctx: Context) -> dict[str, Any]:
    """All objects, with their ids, so that grants on them hold, and their content in base64."""
    objects = []
    for row in ctx.db.execute("SELECT * FROM objects ORDER BY path"):
        content = base64.b64encode(row["content"]).decode() if row["content"] is not None else None
        objects.append(
            {key: row[key] for key in ("id", "path", "kind", "language", "format")} | {"content": content}
        )
    return {"objects": objects}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these objects, and the folders that every workspace has. Raises InvalidParameter for a path that is none, or twice."""
    told = validated(_State, state)
    objects = sorted(told.objects, key=lambda each: each.path)
    ctx.db.execute("DELETE FROM objects")
    folders = {""}
    for each in objects:
        parent = rules.parent(each.path) if each.path != "/" else ""
        if (
            rules.normal(each.path) != each.path
            or parent not in folders
            or (each.kind == "DIRECTORY") != (each.content is None)
        ):
            raise InvalidParameter(
                f"The object {each.path[:200]!r} can't be loaded: its path, its folder or its content is wrong."
            )
        if each.kind == "DIRECTORY":
            folders.add(each.path)
        try:
            content = base64.b64decode(each.content, validate=True) if each.content is not None else None
            what = {"language": each.language, "format": each.format, "content": content}
            _insert(ctx, each.id, each.path, each.kind, **what)
        except (sqlite3.IntegrityError, binascii.Error, ValueError):
            raise InvalidParameter(
                f"The object {each.path[:200]!r} can't be loaded: it stands twice, or its content is no base64."
            ) from None
    store.reserve_ids(ctx.db, "object", max((each.id for each in objects), default=0))
    prepare(ctx)


ENDPOINTS = (
    Endpoint("POST", "/api/2.0/workspace/mkdirs", _mkdirs, At, ("workspace", "mkdirs")),
    Endpoint(
        "POST", "/api/2.0/workspace/import", _import, Import, ("workspace", "import"), max_body=15 * 2**20
    ),
    Endpoint("GET", "/api/2.0/workspace/export", _export, Export, ("workspace", "export")),
    Endpoint("POST", "/api/2.0/workspace/delete", _delete, Delete, ("workspace", "delete")),
    Endpoint("GET", "/api/2.0/workspace/get-status", _status, At),
    Endpoint("GET", "/api/2.0/workspace/list", _list, At),
)
