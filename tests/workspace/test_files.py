"""Folders, notebooks and files, through the real SDK."""

from __future__ import annotations

import base64
import io
import json

import pytest
from databricks.sdk.errors import (
    BadRequest,
    DatabricksError,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.workspace import (
    ExportFormat,
    ImportFormat,
    Language,
    ObjectType,
    WorkspaceObjectAccessControlRequest,
    WorkspaceObjectPermissionLevel,
)

from labs_lib.workspace.files import notebooks
from tests.workspace.conftest import Served

HEADER = b"# Databricks notebook source\n"
HOME = "/Users/learner@example.com"


def names(workspace: Served, path: str, user: str | None = None, recursive: bool = False) -> list[str]:
    return [str(each.path) for each in workspace.client(user).workspace.list(path, recursive=recursive)]


def test_a_new_workspace_has_the_folders_that_every_one_has(workspace: Served) -> None:
    assert names(workspace, "/") == ["/Shared", "/Users"]
    assert names(workspace, HOME) == []
    assert workspace.client().workspace.get_status(f"/Workspace{HOME}").path == HOME


def test_source_is_a_notebook_and_comes_back_with_its_first_line(workspace: Served) -> None:
    w = workspace.client().workspace
    w.upload(f"{HOME}/etl.py", io.BytesIO(b"print(1)"))
    w.upload(f"{HOME}/plain", io.BytesIO(b"print(1)"), format=ImportFormat.SOURCE, language=Language.PYTHON)
    for path in ("etl.py", "plain"):
        with w.download(f"{HOME}/{path}") as file:
            assert file.read() == HEADER + b"print(1)"
    told = w.get_status(f"{HOME}/etl.py")
    assert (told.object_type, told.language) == (ObjectType.NOTEBOOK, Language.PYTHON)


def test_auto_tells_notebooks_from_files(workspace: Served) -> None:
    w = workspace.client().workspace
    for name, content, path, kind in [
        ("job.py", b"print(1)", "job.py", ObjectType.FILE),
        ("note.py", HEADER + b"print(2)", "note", ObjectType.NOTEBOOK),
        ("q.sql", b"-- Databricks notebook source\nSELECT 1", "q", ObjectType.NOTEBOOK),
        ("j.ipynb", notebooks.as_jupyter(b"print(3)", "SOURCE", "PYTHON"), "j", ObjectType.NOTEBOOK),
        ("data.csv", b"\xff\x00", "data.csv", ObjectType.FILE),
        (".py", HEADER, ".py", ObjectType.FILE),
    ]:
        w.upload(f"/Shared/{name}", io.BytesIO(content), format=ImportFormat.AUTO)
        assert w.get_status(f"/Shared/{path}").object_type is kind, name
        if kind is ObjectType.FILE:
            with w.download(f"/Shared/{path}") as file:
                assert file.read() == content
    assert w.get_status("/Shared/job.py").size == 8


def test_a_notebook_goes_from_databricks_to_jupyter_and_back(workspace: Served) -> None:
    w = workspace.client().workspace
    source = (
        HEADER
        + b"# MAGIC %md\n# MAGIC # Title\n# MAGIC\n# MAGIC Text.\n\n# COMMAND ----------\n\nx = 1\n# MAGIC is a word here\n\n"
        b"# COMMAND ----------\n\n# MAGIC %sql\n# MAGIC SELECT 1"
    )
    w.import_(
        f"{HOME}/n",
        content=base64.b64encode(source).decode(),
        format=ImportFormat.SOURCE,
        language=Language.PYTHON,
    )
    exported = w.export(f"{HOME}/n", format=ExportFormat.JUPYTER)
    assert exported.file_type == "ipynb" and exported.content
    cells = json.loads(base64.b64decode(exported.content))["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code"]
    assert [cell["source"] for cell in cells] == [
        "# Title\n\nText.",
        "x = 1\n# MAGIC is a word here",
        "%sql\nSELECT 1",
    ]
    w.import_(f"{HOME}/again", content=exported.content, format=ImportFormat.JUPYTER)
    assert base64.b64decode(str(w.export(f"{HOME}/again", format=ExportFormat.SOURCE).content)) == source


def test_what_is_there_is_not_overwritten_unasked(workspace: Served) -> None:
    w = workspace.client().workspace
    w.upload("/Shared/a", b"1", format=ImportFormat.AUTO)
    with pytest.raises(ResourceAlreadyExists, match="/Shared/a is there already"):
        w.upload("/Shared/a", b"2", format=ImportFormat.AUTO)
    w.upload("/Shared/a", b"2", format=ImportFormat.AUTO, overwrite=True)
    assert w.download("/Shared/a").read() == b"2"
    w.mkdirs("/Shared/b/c")
    for path in ("/Shared/b", "/Shared/a"):
        with pytest.raises(ResourceAlreadyExists):
            w.upload(path, b"3", format=ImportFormat.SOURCE, language=Language.PYTHON, overwrite=True)
    with pytest.raises(ResourceAlreadyExists, match="no folder"):
        w.mkdirs("/Shared/a/b")


def test_folders_are_deleted_with_what_is_in_them_only_when_asked(workspace: Served) -> None:
    w = workspace.client().workspace
    w.mkdirs("/Shared/x/y")
    w.upload("/Shared/x/y/f", b"1", format=ImportFormat.AUTO)
    w.upload("/Shared/x_", b"1", format=ImportFormat.AUTO)
    assert names(workspace, "/Shared", recursive=True) == ["/Shared/x_", "/Shared/x/y/f"]
    with pytest.raises(BadRequest, match="not empty") as refused:
        w.delete("/Shared/x")
    assert refused.value.error_code == "DIRECTORY_NOT_EMPTY"
    w.delete("/Shared/x", recursive=True)
    assert names(workspace, "/Shared") == ["/Shared/x_"]
    with pytest.raises(NotFound):
        w.get_status("/Shared/x/y/f")
    with pytest.raises(InvalidParameterValue, match="belongs to the workspace"):
        w.delete("/Users", recursive=True)


def test_permissions_come_down_along_the_folders(workspace: Served) -> None:
    admin = workspace.client()
    for name in ("ana", "ben"):
        admin.users.create(user_name=f"{name}@example.com")
    ana, ben = (workspace.client(f"{name}@example.com").workspace for name in ("ana", "ben"))
    home = "/Users/ana@example.com"
    ana.mkdirs(f"{home}/team/deep")
    ana.upload(f"{home}/team/deep/job.py", b"1", format=ImportFormat.AUTO)
    for refused in (
        lambda: ben.get_status(f"{home}/team/deep/job.py"),
        lambda: ben.download(f"{home}/team/deep/job.py"),
        lambda: ben.upload(f"{home}/team/x", b"1", format=ImportFormat.AUTO),
        lambda: ben.mkdirs(f"{home}/team/deep/more"),
        lambda: ben.delete(home, recursive=True),
        lambda: list(ben.list(home)),
    ):
        with pytest.raises(PermissionDenied, match=r"ben@example\.com needs"):
            refused()
    assert names(workspace, "/Users", "ben@example.com") == []
    folder = str(ana.get_status(f"{home}/team").object_id)
    reader = WorkspaceObjectAccessControlRequest(
        user_name="ben@example.com", permission_level=WorkspaceObjectPermissionLevel.CAN_READ
    )
    ana.update_permissions("directories", folder, access_control_list=[reader])
    assert ben.download(f"{home}/team/deep/job.py").read() == b"1"
    with pytest.raises(PermissionDenied, match="needs CAN_EDIT"):
        ben.upload(f"{home}/team/deep/job.py", b"2", format=ImportFormat.AUTO, overwrite=True)
    ben.upload("/Shared/from-ben", b"1", format=ImportFormat.AUTO)
    assert ana.download("/Shared/from-ben").read() == b"1"


def test_paths_that_are_none(workspace: Served) -> None:
    long = ["/" + "x" * 300, "/" + "a/" * 60]
    for path in ["", "a", "/a/../b", "/a//b", "/./a", "/a\x00b", "/a\nb", "//", *long]:
        for call in (workspace.client().workspace.mkdirs, workspace.client().workspace.get_status):
            with pytest.raises(InvalidParameterValue):
                call(path)


def test_content_that_is_none_leaves_nothing(workspace: Served) -> None:
    for content, more in [
        ("not base64!", {"format": "AUTO"}),
        (b"{}", {"format": "JUPYTER"}),
        (b"[" * 100_000, {"format": "JUPYTER"}),
        (b'{"cells": 1, "metadata": {}, "nbformat": 4}', {"format": "JUPYTER"}),
        (
            b'{"cells": [{"cell_type": "code", "source": [1]}], "metadata": {}, "nbformat": 4}',
            {"format": "JUPYTER"},
        ),
        (b"1", {}),
        (b"1", {"format": "DBC"}),
        (b"\xff", {"format": "SOURCE", "language": "PYTHON"}),
        (b"1", {"format": "SOURCE", "language": "COBOL"}),
        (b"1" * (10 * 2**20 + 1), {"format": "AUTO"}),
    ]:
        text = base64.b64encode(content).decode() if isinstance(content, bytes) else content
        answer = workspace.http.post(
            "/api/2.0/workspace/import", json={"path": "/Shared/bad", "content": text, **more}
        )
        assert answer.status_code == 400, answer.text
        assert answer.json()["error_code"] in ("INVALID_PARAMETER_VALUE", "MAX_NOTEBOOK_SIZE_EXCEEDED")
    assert names(workspace, "/Shared") == []


def test_a_missing_folder_is_not_made_by_an_import(workspace: Served) -> None:
    with pytest.raises(NotFound, match="/Shared/no"):
        workspace.client().workspace.upload("/Shared/no/file", b"1", format=ImportFormat.AUTO)
    with pytest.raises(DatabricksError, match="a folder"):
        workspace.client().workspace.export("/Shared")


def test_the_tree_travels_as_state(workspace: Served) -> None:
    w = workspace.client().workspace
    w.mkdirs("/Shared/x")
    w.upload("/Shared/x/f", b"\xff", format=ImportFormat.AUTO)
    state = workspace.http.get("/api/labs/state").json()
    w.delete("/Shared/x", recursive=True)
    w.upload("/Shared/other", b"1", format=ImportFormat.AUTO)
    answer = workspace.http.put("/api/labs/state", json=state)
    assert answer.status_code == 200, answer.text
    assert names(workspace, "/Shared") == ["/Shared/x"] and w.download("/Shared/x/f").read() == b"\xff"
    for damage in (
        {"path": "/Shared/../etc"},
        {"path": "/nowhere/f"},
        {"content": "%"},
        {"id": -1},
        {"kind": "DIRECTORY"},
        {"more": 1},
    ):
        broken = json.loads(json.dumps(state))
        next(each for each in broken["files"]["objects"] if each["path"] == "/Shared/x/f").update(damage)
        assert workspace.http.put("/api/labs/state", json=broken).status_code == 400, damage
    assert w.download("/Shared/x/f").read() == b"\xff"
