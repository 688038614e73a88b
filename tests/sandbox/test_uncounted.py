"""What a sandbox takes without showing it: page tables, sockets, addresses, its neighbours' CPU. With a control group and without one.

Everything here stops by itself at a size that a machine bears, should nothing stop it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from floods import PAGE_TABLES, SOCKETS, TCP

from grader.sandbox import cgroup, runner, watch
from grader.sandbox.runner import Ended, Limits, Use
from labs_lib.engine import clock
from labs_lib.engine.clock import OwnTime

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

MIB = 2**20
LIMITS = Limits(memory=100 * MIB, processes=60, file_size=50 * MIB, disk=100 * MIB, files=2000, wall=60)


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.mkdir()
    return path


def inside(
    code: str, box: Path, limits: Limits = LIMITS, on_look: Callable[[Use], object] | None = None
) -> Ended:
    command = [sys.executable, "-c", code]
    return runner.run(command, box, readonly=[], environment={}, limits=limits, on_look=on_look)


@pytest.fixture
def no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who may make none."""
    monkeypatch.setattr(cgroup, "_places", lambda memory, processes: iter(()))


@pytest.fixture
def only_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that sees no memory, so that the kernel has to."""
    with cgroup.group(MIB, 1) as group:
        if not any(
            (folder / "memory.oom_control").exists() or (folder / "memory.events").exists()
            for folder in group.folders
        ):
            pytest.skip("this user may make no control group here")
    monkeypatch.setattr(watch, "memory", lambda inside, limit: 0)


@pytest.mark.parametrize("code", [PAGE_TABLES, SOCKETS, TCP], ids=["page-tables", "sockets", "tcp"])
def test_the_watch_counts_it(code: str, box: Path, no_group: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "ADDRESSES", 1024)
    assert inside(code, box, replace(LIMITS, memory=80 * MIB)).reason == "memory"


HOG = """
import time
held = [bytearray(b"x" * (10 * 2**20)) for _ in range(30)]  # 300 MiB and no more, should nothing stop it
time.sleep(30)
"""


@pytest.mark.parametrize("code", [PAGE_TABLES, HOG], ids=["page-tables", "hog"])
def test_the_kernel_counts_it_in_a_control_group(
    code: str, box: Path, only_group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "ADDRESSES", 1024)
    monkeypatch.setattr(cgroup, "SLACK", 0)
    ended = inside(code, box, replace(LIMITS, memory=80 * MIB))
    assert (ended.reason, ended.returncode) == ("memory", None) and "80 MiB" in ended.sentence


def groups() -> list[Path]:
    """Groups of sandboxes of this process."""
    return [
        folder
        for parent, _ in cgroup._places(0, 0)
        for folder in parent.glob(f"{cgroup.PREFIX}{os.getpid()}-*")
    ]


def test_no_group_is_left(box: Path) -> None:
    seen: list[list[Path]] = []
    inside("import time; time.sleep(1)", box, on_look=lambda use: seen.append(groups()))
    if not any(seen):
        pytest.skip("this user may make no control group here")
    assert groups() == []


def test_addresses_are_bounded(box: Path) -> None:
    code = f"""
import mmap
try:
    mmap.mmap(-1, {(runner.ADDRESSES + 1) * LIMITS.memory})
except OSError as error:
    print(error.strerror)
"""
    assert inside(code, box).output == "Cannot allocate memory\n"


def test_a_run_stops_before_the_machines_memory_ends(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "available", lambda: runner.RESERVE - 1)
    assert inside("import time; time.sleep(30)", box).reason == "machine"


def test_buffers_of_sockets_stay_as_they_are(box: Path) -> None:
    code = """
import socket
one = socket.socket(socket.AF_UNIX)
for size in (socket.SO_SNDBUF, socket.SO_RCVBUF):
    before = one.getsockopt(socket.SOL_SOCKET, size)
    one.setsockopt(socket.SOL_SOCKET, size, 8 * before)
    print(one.getsockopt(socket.SOL_SOCKET, size) == before)
one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
"""
    assert inside(code, box).output == "True\nTrue\n1\n"


# CPU

BUSY = """
import os, sys, time
children = int(sys.argv[1]) if len(sys.argv) > 1 else CHILDREN
for _ in range(children):
    if os.fork() == 0:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(children):
    os.wait()
times = os.times()
print(times.children_user + times.children_system)
"""


def test_two_hundred_busy_children_take_no_more_than_a_neighbour(tmp_path: Path) -> None:
    """Forty here. Counted by processes, the neighbour would get a twentieth of what they get."""
    with cgroup.group(MIB, 1) as group:
        if not any(
            (folder / "cpu.shares").exists() or (folder / "cpu.weight").exists() for folder in group.folders
        ):
            pytest.skip("this user may make no control group for CPU here")
    got: dict[int, float] = {}

    def run(children: int) -> None:
        box = tmp_path / str(children)
        box.mkdir()
        got[children] = float(
            inside(BUSY.replace("CHILDREN", str(children)), box, replace(LIMITS, memory=400 * MIB)).output
        )

    threads = [threading.Thread(target=run, args=(children,)) for children in (40, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got[2] > got[40] / 3


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """A machine whose clock, idle seconds and CPU seconds of ours are set here."""
    now = {"time": 0.0, "idle": 0.0, "used": 0.0, "waits": 1.0}
    monkeypatch.setattr(clock.time, "monotonic", lambda: now["time"])
    monkeypatch.setattr(clock, "_idle", lambda: now["idle"])
    yield now


def test_time_passes_as_far_as_there_is_a_cpu(machine: dict[str, float]) -> None:
    own = OwnTime(lambda: machine["used"], lambda: bool(machine["waits"]))
    machine |= {"time": 10.0, "idle": 10.0}  # a CPU was free: whoever waited, waited for something else
    assert own.passed() == 10
    machine |= {"time": 20.0, "used": 1.0}  # a busy machine, of which ours had a tenth
    assert own.passed() == 11
    machine |= {"time": 30.0, "used": 16.0}  # and one and a half CPUs
    assert own.passed() == 21
    machine |= {"time": 40.0, "waits": 0.0}  # who sleeps is not held up by others
    assert own.passed() == 31
    machine |= {"time": 200.0, "waits": 1.0}  # nothing at all: there is an end to it
    assert own.passed() == 50


def test_without_figures_time_is_the_walls(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_idle", lambda: None)
    own = OwnTime(lambda: 0.0, lambda: True)
    machine["time"] = 10.0
    assert own.passed() == 10


def test_cpu_of_children_that_ended_is_counted() -> None:
    assert clock._cpu_of_all() > 0
    own = clock.cpu_seconds(watch.stat_fields(os.getpid()))
    used = time.process_time()
    while time.process_time() < used + 0.2:
        pass
    assert clock.cpu_seconds(watch.stat_fields(os.getpid())) >= own + 0.1


def test_who_sleeps_waits_for_no_cpu() -> None:
    def started(code: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"print(flush=True)\n{code}"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None and process.stdout.readline()
        return process

    with started("import time; time.sleep(60)") as sleeper, started("while True: pass") as busy:
        try:
            while clock.waiting([sleeper.pid]):  # until it sleeps
                time.sleep(0.02)
            assert clock.waiting([sleeper.pid, busy.pid])
        finally:
            sleeper.kill()
            busy.kill()
