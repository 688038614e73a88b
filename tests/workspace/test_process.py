"""The service's process, as notebooks and the `labs` command meet it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from databricks.sdk.errors import PermissionDenied
from rich.console import Console
from typer.testing import CliRunner

from labs_lib import cli
from labs_lib.engine import keeper
from labs_lib.errors import LabsError
from labs_lib.workspace import client, process
from labs_lib.workspace.__main__ import end_when_idle
from workspace.conftest import client_of, serve

pytestmark = pytest.mark.ledger


def labs(command: str) -> str:
    """What `labs <command>` prints."""
    return CliRunner().invoke(cli.app, [command]).output


def test_two_processes_that_start_at_once_share_one(lab_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from labs_lib.workspace import client, process\n"
        "print(process.ensure(client.folder_of(Path(sys.argv[1]))).pid)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(lab_folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    pids = {each.communicate(timeout=120)[0].strip() for each in both}
    assert len(pids) == 1 and pids.pop().isdecimal()


def test_the_service_is_private_to_its_user(lab_folder: Path) -> None:
    found = process.ensure(client.folder_of(lab_folder))
    folder = Path(found.folder)
    for name in ("server.json", "door.json", "workspace.db"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
    running = psutil.Process(found.pid)
    listening = [each.laddr for each in running.net_connections() if each.status == psutil.CONN_LISTEN]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", found.port)]
    assert not [part for part in (*running.cmdline(), *running.environ().values()) if found.token in part]


def test_the_client_never_waits_for_the_service_to_import_the_sdk(lab_folder: Path) -> None:
    found = process.ensure(client.folder_of(lab_folder))
    loaded = {Path(each.path).parts for each in psutil.Process(found.pid).memory_maps()}
    code = "import sys; from labs_lib.workspace import app, serving; print(sorted(n for n in sys.modules if n.split('.')[0] in {'databricks', 'pyspark', 'grpc'}))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )
    assert not [parts for parts in loaded if "pyspark" in parts or "grpc" in parts]


def test_what_was_answered_outlives_kill_9_and_clients_go_on(lab_folder: Path) -> None:
    w = client.workspace(lab_folder)
    for number in range(2):
        made = w.users.create(user_name=f"user{number}@example.com")
        found = process.ensure(client.folder_of(lab_folder))
        os.kill(found.pid, signal.SIGKILL)
        psutil.Process(found.pid).wait(10)
        assert w.users.get(made.id or "").user_name == f"user{number}@example.com"
    after = process.ensure(client.folder_of(lab_folder))
    assert (after.port, after.token) == (found.port, found.token) and after.pid != found.pid
    assert len(list(w.users.list())) == 3


def test_writes_answered_before_a_kill_in_their_midst_are_all_there(lab_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from labs_lib.workspace import client\n"
        "for number in range(10**6):\n"
        "    client._ask(Path(sys.argv[1]), 'POST', '/api/2.0/preview/scim/v2/Groups', {'displayName': f'group {number}'})\n"
        "    print(number, flush=True)\n"
    )
    found = process.ensure(client.folder_of(lab_folder))
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lab_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as writer:
        assert writer.stdout
        for _ in range(40):
            writer.stdout.readline()
        os.kill(found.pid, signal.SIGKILL)
        writer.terminate()
        psutil.Process(found.pid).wait(
            10
        )  # else it may answer once more, and the SDK tries a dead one for long
        answered = 40 + len(writer.stdout.read().split())
    groups = {group.display_name for group in client.workspace(lab_folder).groups.list()}
    assert {f"group {number}" for number in range(answered)} <= groups


def test_a_token_of_another_workspace_is_refused(lab_folder: Path, tmp_path: Path) -> None:
    other = client.token_for(tmp_path / "other")
    here = process.ensure(client.folder_of(lab_folder))
    with pytest.raises(PermissionDenied, match="this workspace gave out no such token"):
        client_of(here.address, other).current_user.me()


def test_a_user_is_acted_for_by_the_same_token_each_time(lab_folder: Path) -> None:
    client.workspace(lab_folder).users.create(user_name="ben@example.com")
    ben = client.workspace(lab_folder, "ben@example.com")
    assert ben.current_user.me().user_name == "ben@example.com"
    first = client.token_for(lab_folder, "ben@example.com")
    assert first == client.token_for(lab_folder, "ben@example.com") == ben.config.token
    assert [token.comment for token in ben.tokens.list()] == ["lab.token_for"]
    with pytest.raises(LabsError, match=r"no user or service principal 'eve@example.com'; create it first"):
        client.workspace(lab_folder, "eve@example.com")


def test_it_stops_when_nobody_uses_it_and_is_there_again_at_the_next_call(lab_folder: Path) -> None:
    # The service in this process, whose idle limit can be a moment; the child that comes after it has minutes.
    w = client.workspace(lab_folder)
    folder = client.folder_of(lab_folder)
    process.stop(folder)
    for served in serve(folder):
        port = int(served.address.rpartition(":")[2])
        here = process.Service(
            os.getpid(), keeper.created(os.getpid()), port, served.token, str(folder), "now"
        )
        keeper.write_privately(folder / keeper.STATE, asdict(here))
        end_when_idle(folder, served.inside, served.server, here, 0.1)
        assert served.server.should_exit
    assert keeper.why_stopped(folder) == "idle" and not (folder / keeper.STATE).exists()
    assert w.current_user.me().user_name == "learner@example.com"


def test_a_service_whose_folder_was_deleted_ends(lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_EVERY", 0.05)
    folder = client.folder_of(lab_folder)
    for served in serve(folder):
        port = int(served.address.rpartition(":")[2])
        here = process.Service(
            os.getpid(), keeper.created(os.getpid()), port, served.token, str(folder), "now"
        )
        folder.rename(folder.with_name("gone"))
        end_when_idle(folder, served.inside, served.server, here, 20)
        assert served.server.should_exit and not folder.exists()
    assert client.workspace(lab_folder).current_user.me().user_name == "learner@example.com"


def test_labs_knows_the_workspaces(lab_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "console", Console(width=300))
    found = process.ensure(client.folder_of(lab_folder))
    told = labs("status")
    assert found.address in told and found.folder in told
    assert f"pid {found.pid}, {found.address}" in labs("doctor")
    assert f"The workspace of {found.folder} has stopped." in labs("stop")
    assert not keeper.is_alive(found) and process.running(Path(found.folder)) is None
    assert found.address not in labs("status")


def test_a_workspace_elsewhere_means_no_local_service(
    lab_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for served in serve(lab_folder.with_name("elsewhere")):
        monkeypatch.setenv("DATABRICKS_HOST", served.address)
        monkeypatch.setenv("DATABRICKS_TOKEN", served.token)
        client_of(served.address, served.token).users.create(user_name="ana@example.com")
        assert client.workspace(lab_folder).config.host == served.address
        with pytest.raises(LabsError, match="set DATABRICKS_TOKEN_ANA_EXAMPLE_COM to one of theirs"):
            client.workspace(lab_folder, "ana@example.com")
        monkeypatch.setenv("DATABRICKS_TOKEN_ANA_EXAMPLE_COM", served.token_for("ana@example.com"))
        assert (
            client.workspace(lab_folder, "ana@example.com").current_user.me().user_name == "ana@example.com"
        )
        with pytest.raises(LabsError, match="unset it to use the local one"):
            client.move_clock(lab_folder, 1)
    assert not client.folder_of(lab_folder).exists()


def test_state_that_can_not_be_read_is_one_sentence(lab_folder: Path) -> None:
    folder = client.folder_of(lab_folder)
    folder.mkdir(parents=True)
    (folder / "workspace.db").write_bytes(b"this is no database at all" * 1000)
    with pytest.raises(LabsError, match=r"workspace\.db, can't be read .*; move the file aside"):
        process.ensure(folder)
    assert not (folder / "server.json").exists()
