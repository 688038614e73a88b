"""Six honest submissions and one of each kind of trouble among them, in any order: real boxes, a real border, no Spark.

The code of a submission runs as a notebook's would, in a box of its own; a small program stands in the judge's place (test_judge.py).
All of it stops by itself at a size that a machine bears.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from floods import PAGE_TABLES, SOCKETS
from test_judge import FIRST, MODULE, PATIENCE, SECOND, STAND_IN

from grader.judging import judge, submission
from grader.judging.judge import Judged, Judges
from grader.judging.submission import Ran
from grader.sandbox import cgroup, runner, workbox
from grader.sandbox.runner import Limits

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

MIB = 2**20
LIMITS = Limits(memory=100 * MIB, processes=60, file_size=50 * MIB, disk=100 * MIB, files=5000, wall=30)

HONEST = f"""
import json, os
from pathlib import Path
place = Path(os.environ["LABS_WORKSPACE"], {MODULE.name!r})
(place / "evidence").mkdir(parents=True)
(place / "tables" / "daily_sales").mkdir(parents=True)
(place / "tables" / "daily_sales" / "part-0").write_text("rows")

def nest(name, levels, folder="."):
    os.chdir(folder)
    for _ in range(levels):
        os.mkdir(name)
        os.chdir(name)

def say(step, what):
    (place / "evidence" / f"{{step}}.json").write_text(json.dumps({{"do": what}}))
"""

# What is added to honest work, and whether all of it still counts: what hurts nobody may be right.
TROUBLE: dict[str, tuple[str, bool]] = {
    "deep": ("nest('d', 1500)", True),
    "deep evidence": ("nest('d', 1500, place / 'evidence')", True),
    "closed": ("nest('d', 20)\nos.chmod('/box/d', 0)\nos.chmod(place / 'tables', 0o100)", True),
    "bytes": ("os.makedirs(b'/box/\\xff\\n/\\x80')", True),
    "long paths": ("nest('d' * 250, 12, place / 'tables' / 'daily_sales')", True),
    "sparse": (
        "for n in range(12):\n    os.truncate(os.open(place / 'tables' / 'daily_sales' / str(n), os.O_CREAT | os.O_RDWR), 40 * 2**20)",
        True,
    ),
    "page tables": (PAGE_TABLES, True),
    "sockets": (SOCKETS, True),
    "busy children": (
        "import time\nfor _ in range(40):\n    if os.fork() == 0:\n        end = time.monotonic() + 2\n"
        "        while time.monotonic() < end: pass\n        os._exit(0)\nfor _ in range(40): os.wait()",
        True,
    ),
    "ends judges": (f"say({SECOND!r}, 'die')", False),
    "hangs": (f"say({FIRST!r}, 'hang')", False),
    "garbles": (f"say({SECOND!r}, 'garble')", False),
}


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judges]:
    monkeypatch.setattr(judge, "PROGRAM", ("-c", STAND_IN))
    monkeypatch.setattr(judge, "START", 0.0)
    monkeypatch.setattr(runner, "ADDRESSES", 1024)
    monkeypatch.setattr(submission, "TABLE_BYTES", 100 * MIB)
    with Judges() as judges:
        yield judges


def graded(judges: Judges, code: str) -> tuple[Judged, str]:
    """Run a submission's code in a box and judge what it left; also returns how the run ended."""
    with workbox.workbox([], [], protected=True) as box:
        ended = box.run([sys.executable, "-c", HONEST + code], LIMITS)
        return judges.judge(
            Ran(box, MODULE.name, ended, None), MODULE, 1, None, [], [], True, PATIENCE
        ), ended.reason


def left_over() -> dict[str, list[str]]:
    """Folders, groups, shared memory and processes that are there and could be of boxes of this process."""
    own = f"{cgroup.PREFIX}{os.getpid()}-"
    return {
        "folders": [path.name for path in Path(tempfile.gettempdir()).glob(f"{own}*")],
        "groups": [path.name for parent, _ in cgroup._places(0, 0) for path in parent.glob(f"{own}*")],
        "memory": sorted(name for name in os.listdir("/dev/shm") if name.startswith("labs")),
        "processes": [process.name() for process in psutil.Process().children(recursive=True)],
    }


def test_the_worst_class_costs_nobody_else_anything(
    judges: Judges, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = secrets.randbelow(10**6)
    class_ = [*TROUBLE, *(f"honest {number}" for number in range(6))]
    random.Random(seed).shuffle(class_)
    print(f"the order of seed {seed}: {', '.join(class_)}")
    before = left_over()
    results = {student: graded(judges, TROUBLE.get(student, ("", True))[0]) for student in class_}
    for student, (result, _) in results.items():
        lost = [verdict.step for verdict in result.verdicts if not verdict.passed]
        assert (lost == []) == TROUBLE.get(student, ("", True))[1], (student, lost, result.problems)
        if student.startswith("honest"):
            assert result.problems == ()
    assert results["page tables"][1] == results["sockets"][1] == "memory"
    for student in ("deep evidence", "long paths", "sparse", "ends judges", "hangs", "garbles"):
        assert results[student][0].problems, student
    judges.close()
    assert left_over() == before
    assert "can't be removed" not in capfd.readouterr().err
    # And once more: nothing of the first time ends a later command, as a clean-up did.
    workbox._remove_abandoned()
    assert all(verdict.passed for verdict in graded(judges, "")[0].verdicts)


def test_boxes_of_a_killed_command_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = tmp_path / f"{workbox.PREFIX}{2**22 + 1}-left"  # no process has such a number
    alive = tmp_path / f"{workbox.PREFIX}{os.getpid()}-used"
    for folder in (gone, alive):
        folder.mkdir()
    inner = os.open(gone, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=inner)
        deeper = os.open("d", os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)
    workbox._remove_abandoned()
    assert os.listdir(tmp_path) == [alive.name]
