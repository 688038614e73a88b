"""A lab's workspace, as a notebook has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Run

pytestmark = pytest.mark.ledger

CODE = """
from labs_lib import open_lab
lab = open_lab("01_optimization")
print(lab.workspace.current_user.me().user_name)
print(lab.workspace.users.create(user_name="ben@example.com").user_name)
print(lab.workspace_as("ben@example.com").current_user.me().user_name)
print(lab.token_for("ben@example.com") == lab.workspace_as("ben@example.com").config.token)
print(lab.workspace is lab.workspace)
print(lab.workspace.config.http_timeout_seconds > 50)  # the longest that a statement may be waited for
try:
    lab.workspace_as("eve@example.com")
except Exception as error:
    print(type(error).__name__, error)
"""
SAID = """\
learner@example.com
ben@example.com
ben@example.com
True
True
True
LabsError There is no user or service principal 'eve@example.com'; create it first.
"""
ANOTHER = """
from labs_lib import open_lab
print([user.user_name for user in open_lab("01_optimization").workspace.users.list()])
"""


def test_a_notebook_is_anybody_and_starts_no_spark(run_python: Run, own_home: Path, tmp_path: Path) -> None:
    clean = {"DATABRICKS_HOST": "", "DATABRICKS_TOKEN": ""}
    first = run_python(CODE, **clean)
    assert first.stdout == SAID, first.stderr
    second = run_python(ANOTHER, **clean)
    assert second.stdout == "['learner@example.com', 'ben@example.com']\n", second.stderr
    assert not (own_home / "server").exists()
    assert (tmp_path / "workspace" / "01_optimization" / "workspace" / "workspace.db").exists()


def test_a_proxy_of_the_network_is_not_asked_for_what_is_on_this_machine(run_python: Run) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    said = run_python(CODE, DATABRICKS_HOST="", DATABRICKS_TOKEN="", **nowhere)
    assert said.stdout == SAID, said.stderr
