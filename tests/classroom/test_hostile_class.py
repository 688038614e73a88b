"""The worst class through `grader grade`: six honest solutions and submissions that would harm them among these, in any order.

The course is one of values, whose boxes start no Spark, and its own copy of the grader gives them little, so that what floods them stays
of a size that a machine bears. tests/judging/test_worst_class.py does the same below the command.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

import nbformat
import psutil
import pytest
import values_course
from attackers import Course
from floods import PAGE_TABLES, SOCKETS

from grader.classroom.intake import RUNS_CODE
from grader.sandbox import cgroup

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

NAME, FULL = values_course.NAME, values_course.FULL
HONEST = 6
# What the course's grader gives a box, in the place of what ours gives: a kernel and two hundred small children fit in.
SMALL = {
    "sandbox/runner.py": {
        "memory: int = 6 * 2**30": "memory: int = 640 * 2**20",
        "ADDRESSES = 8 ": "ADDRESSES = 128 ",
    },
    "judging/submission.py": {
        "TABLE_BYTES = 40_000, 2**30": "TABLE_BYTES = 40_000, 2**26",
    },
    "judging/judge_inside.py": {'2 * plan["patience"])': "10)"},  # seconds of CPU for a step
}

# Before anything hostile: held to this, should no box hold it.
BOUNDED = """
import os, resource, subprocess, sys, time
for limit, most in ((resource.RLIMIT_AS, 80 * 2**30), (resource.RLIMIT_FSIZE, 2**27), (resource.RLIMIT_CPU, 60), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))

place = str(lab.folder)

def nest(name, levels, folder="/box"):
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(levels):
        os.mkdir(name)
        os.chdir(name)
    os.chdir(here)

def four(code):
    children = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(4)]
    for child in children:
        child.wait()
"""

# By its kind in the issue on grading that survives: the step that it stands in, below the right answer, and its code.
TROUBLE: dict[str, tuple[str, str]] = {
    "D-folders-inside-each-other": ("1a.1", "nest('d', 1500)"),
    "D-evidence-folders-inside-each-other": (
        "1a.2",
        "os.makedirs(place + '/evidence', exist_ok=True)\nnest('d', 1500, place + '/evidence')",
    ),
    "D-closed-folders": ("1a.2", "nest('d', 20)\nos.chmod('/box/d', 0)\nos.chmod(place, 0o100)"),
    "D-names-that-are-no-text": ("1a.1", "os.makedirs(b'/box/\\xff\\n/\\x80\\x1b[2J')"),
    "E-long-paths": (
        "1a.2",
        "os.makedirs(place + '/evidence', exist_ok=True)\nnest('d' * 250, 14, place + '/evidence')",
    ),
    "E-evidence-is-a-file": (
        "1a.2",
        "import shutil; shutil.rmtree(place + '/evidence'); open(place + '/evidence', 'w')",
    ),
    "E-answer-that-ends-the-judge": ("1a.4", "settings_file.write_text('{' + 'a' * 60)"),
    "F-page-tables": ("1a.1", f"four('''{PAGE_TABLES}''')"),
    "F-sockets": ("1a.1", f"four('''{SOCKETS}''')"),
    "F-sparse-tables": (
        "1a.1",
        """
summary["note"] = " ".join(f"table_{number}" for number in range(12))
for number in range(12):
    os.makedirs(f"{place}/tables/table_{number}/_delta_log")
    os.truncate(os.open(f"{place}/tables/table_{number}/part-0.parquet", os.O_CREAT | os.O_RDWR), 2**27)
""",
    ),
    "F-busy-children": (
        "1a.1",
        """
for _ in range(200):
    if os.fork() == 0:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
        os._exit(0)
for _ in range(200):
    os.wait()
""",
    ),
    "F-memory": ("1a.1", "hoard = [bytearray(b'x' * 2**20) for _ in range(1500)]\ntime.sleep(30)"),
}
# What costs nobody anything, so that it may go without a word.
HARMLESS = {"honest", "D-names-that-are-no-text", "F-busy-children"}
JUDGE = (
    "grader.judging.judge_inside"  # the module that a judge's process runs; its first argument is in its box
)
LINKS = """[a](javascript:alert(1)) [b]( JAVASCRIPT:alert(2) "b") <javascript:alert(3)> [c][1] ![d](javascript:alert(4))
<a href="javascript:alert(5)">e</a> $\\href{javascript:alert(6)}{f}$ [g](data:text/html,<script>alert(7)</script>) [h](java&#115;cript:alert(8))
~~~
[i](vbscript:alert(9))
~~~~

[1]: javascript:alert(10)
"""


@dataclass
class Run:
    """A command of the course's: how it ended, all processes that were seen below it, and the boxes of judges among them."""

    done: subprocess.CompletedProcess[str]
    processes: set[psutil.Process]
    judges: set[str]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root, temporary = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("temporary")
    values_course.make(root, "\nc.JudgeSubmission.cell_timeout = 40\nc.JudgeSubmission.wall = 90.0\n")
    for file, changes in SMALL.items():
        path = root / "grader" / file
        text = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    environment = {"PYTHONPATH": str(root), "LABS_HEAP": "none", "TMPDIR": str(temporary)}
    return Course(root, NAME, (), environment, FULL)


def submitted(course: Course) -> dict[str, str]:
    """Hand in the class in the order of a seed, which is printed; the kinds by student."""
    seed = secrets.randbelow(10**6)
    kinds = [*TROUBLE, "G-links", *["honest"] * HONEST]
    random.Random(seed).shuffle(kinds)
    print(f"the order of seed {seed}: {', '.join(kinds)}")
    class_ = {f"{number:02}-{kind}": kind for number, kind in enumerate(kinds)}
    for student, kind in class_.items():
        answers = course.solved()
        if kind in TROUBLE:
            step, code = TROUBLE[kind]
            answers[step] += BOUNDED + code
        nb = course.with_answers(answers)
        nb.cells.append(nbformat.v4.new_markdown_cell(LINKS if kind == "G-links" else f"By {student}."))
        course.submit(student, nb)
    return class_


def run(course: Course, *arguments: str) -> Run:
    """Run a command as the course does, and look at what it starts."""
    processes: set[psutil.Process] = set()
    judges: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for process in set(psutil.Process().children(recursive=True)) - before:
                processes.add(process)
                with contextlib.suppress(psutil.Error):
                    line = process.cmdline()
                    judges.update(line[line.index(JUDGE) + 1 :][:1] if JUDGE in line else ())

    before = set(psutil.Process().children(recursive=True))
    looking = threading.Thread(target=look)
    looking.start()
    try:
        done = course.command(*arguments)
    finally:
        over.set()
        looking.join()
    return Run(done, processes, judges)


def left_by(course: Course, run: Run) -> dict[str, list[str]]:
    """What a command left: processes, and folders, groups and shared memory that can only be theirs."""
    seen = {process.pid for process in run.processes}
    # Some end as they see that the command has. psutil.wait_procs trips over a process that goes while it looks.
    until = time.monotonic() + 60
    while (alive := [each for each in run.processes if _runs(each)]) and time.monotonic() < until:
        time.sleep(0.1)
    groups = [
        folder.name
        for parent, _ in cgroup._places(0, 0)
        for folder in parent.glob(f"{cgroup.PREFIX}*-*")
        if int(folder.name.removeprefix(cgroup.PREFIX).split("-")[0]) in seen
    ]
    shared = [name for name in os.listdir("/dev/shm") if seen & set(map(int, numbers(name)))]
    return {
        "processes": [process.name() for process in alive],
        "folders": sorted(os.listdir(course.environment["TMPDIR"])),
        "groups": groups,
        "shared memory": shared,
    }


def is_told_of(course: Course, printed: str, student: str) -> bool:
    """Whether what is odd about a submission is printed below its line, or is an error on the learner's page of the report."""
    (line,) = re.findall(rf"^{re.escape(student)} .*\n(.*)$", printed, re.MULTILINE)
    pages = (course.root / "build" / "grading-report" / NAME / "learners").glob("*.html")
    (page,) = (text for path in pages if f"<title>{student}" in (text := path.read_text(encoding="utf-8")))
    return line.startswith("  ") or "ended with an error" in page


def numbers(name: str) -> Iterator[str]:
    """The numbers in a name between marks, one of which may be a process's."""
    yield from (part for part in name.replace("_", "-").replace(".", "-").split("-") if part.isdecimal())


NOTHING: dict[str, list[str]] = {"processes": [], "folders": [], "groups": [], "shared memory": []}


def test_the_worst_class_costs_no_honest_learner_anything(course: Course) -> None:
    class_ = submitted(course)
    first = run(course, "grader.cli", "grade", NAME, "--jobs", "2")
    printed = first.done.stdout
    print(printed, first.done.stderr, sep="\n")
    assert first.done.returncode == 0
    points = course.stored_points()
    assert set(points) == set(class_)
    for student, kind in class_.items():
        if kind in HARMLESS or kind == "G-links":
            assert points[student] == FULL, (student, points[student])
        assert is_told_of(course, printed, student) == (kind not in HARMLESS), (student, printed)
    assert left_by(course, first) == NOTHING

    # Nothing of it is in a later command's way, and another class is graded as well.
    course.submit("late", course.with_answers(course.solved()))
    second = run(course, "grader.cli", "grade", NAME)
    assert second.done.returncode == 0, second.done.stdout + second.done.stderr
    assert course.stored_points() == points | {"late": FULL}
    assert left_by(course, second) == NOTHING
    later = [f"later-{step}" for step in FULL]
    for student, step in zip(later, FULL, strict=True):
        course.submit(student, course.with_answers(course.solved() | {step: ""}))
    third = run(course, "nbgrader", "autograde", NAME, "--force")
    assert third.done.returncode == 0, third.done.stderr
    expected = {student: FULL | {step: 0} for student, step in zip(later, FULL, strict=True)}
    assert course.stored_points() == points | {"late": FULL} | expected
    assert len(third.judges) == 1, "one judge serves the whole class"
    assert left_by(course, third) == NOTHING


def test_feedback_holds_no_link_of_a_learners(course: Course) -> None:
    (student,) = (
        path.name for path in (course.root / "submitted").iterdir() if path.name.endswith("G-links")
    )
    done = course.command("nbgrader", "generate_feedback", NAME, "--student", student)
    assert done.returncode == 0, done.stderr
    page = (course.root / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "javascript:alert(1)" in page  # as text
    assert harmful(page) == []
    assert harmful('<a href=" JavaScript:x"></a><script>alert(1)</script>') == [" JavaScript:x", "alert(1)"]


def harmful(page: str) -> list[str]:
    """Addresses of a page that run code, and scripts that are the learner's."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for _, value in attrs if value and RUNS_CODE.match(value.strip()))

        def handle_data(self, data: str) -> None:
            if self.cdata_elem and "alert(" in data:
                found.append(data)

    Reader().feed(page)
    return found


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
