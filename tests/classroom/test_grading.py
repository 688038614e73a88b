"""A class of honest, broken and hostile submissions through `grader grade`: points are what was earned, and nothing else happens.

The course is one of values, whose boxes start no Spark. Attacks on Python, files and the sandbox are in tests/attacks/values (attackers.py
says how they stand there), those on the notebook file are the functions below, and files that are no notebooks are in malformed.py. Attacks on tables,
plans and the server are graded in tests/proof/test_spark_attacks.py.
"""

from __future__ import annotations

import contextlib
import copy
import html
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import malformed
import nbformat
import psutil
import pytest
import values_course
from attackers import Attacked, Course, Graded, cell_of
from distributed import Client
from nbformat import NotebookNode

from grader.course import paths
from grader.judging import judge

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

HERE = Path(__file__).resolve().parents[1]
NAME, FULL = values_course.NAME, values_course.FULL
STEPS = list(FULL)
ATTACKS = tuple(sorted((HERE / "attacks" / "values").glob("*.py")))
HONEST = {"1a.2", "1a.5"}  # what attackers of the file have solved


# Attacks on the notebook file. Each takes the solution as a learner might hand it in, and says which steps still count.
def checks_deleted(nb: NotebookNode) -> set[str]:
    """No check cells at all: they are put back behind the answers."""
    nb.cells = [cell for cell in nb.cells if not cell.metadata.get("nbgrader", {}).get("grade")]
    return HONEST


def check_cell_edited(nb: NotebookNode) -> set[str]:
    """A check cell claims its points itself. It is put back, and the answer below it is wrong."""
    cell_of(nb, "check-1a-5").source = "2.0"
    cell_of(nb, "answer-1a-5").source = "largest = []"
    return HONEST - {"1a.5"}


def check_cell_twice(nb: NotebookNode) -> set[str]:
    """A second check cell of the same id after the first, with a claim."""
    cell_of(nb, "answer-1a-5").source = "largest = []"
    again = copy.deepcopy(cell_of(nb, "check-1a-5"))
    again.source, again.id = "2.0", "again"
    nb.cells.append(again)
    return HONEST - {"1a.5"}


def check_cells_swapped(nb: NotebookNode) -> set[str]:
    """The check cell of a step that is not solved bears the id of one that was solved, and the other way round."""
    solved, unsolved = cell_of(nb, "check-1a-2"), cell_of(nb, "check-1a-3")
    solved.metadata.nbgrader.grade_id, unsolved.metadata.nbgrader.grade_id = "check-1a-3", "check-1a-2"
    solved.metadata.nbgrader.points, unsolved.metadata.nbgrader.points = 3, 2
    return HONEST


def metadata_claims_points(nb: NotebookNode) -> set[str]:
    """Answer cells that call themselves graded, a check that is worth a thousand points, and a cell nobody knows."""
    cell_of(nb, "answer-1a-5").source = "largest = []\n1000.0"
    cell_of(nb, "answer-1a-5").metadata.nbgrader.update(grade=True, points=1000)
    cell_of(nb, "check-1a-5").metadata.nbgrader.update(points=1000, locked=False, solution=True)
    unknown = {
        "grade": True,
        "grade_id": "bonus",
        "points": 99,
        "solution": False,
        "locked": False,
        "schema_version": 3,
        "task": False,
    }
    nb.cells.append(nbformat.v4.new_code_cell("99.0", metadata={"nbgrader": unknown}))
    return HONEST - {"1a.5"}


def outputs_pasted_in(nb: NotebookNode) -> set[str]:
    """Outputs of checks that claim full marks under answers that are gone."""
    for step in STEPS:
        cell_of(nb, f"answer-{step.replace('.', '-')}").source = ""
    return set()


def checks_before_answers(nb: NotebookNode) -> set[str]:
    """All check cells at the top: they run before there is an answer."""
    checks = [cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    rest = [cell for cell in nb.cells if cell not in checks]
    nb.cells = [*rest[:4], *checks, *rest[4:]]
    return set()


def seed_fixed_in_an_answer(nb: NotebookNode) -> set[str]:
    """The parameters cell is gone and the setup cell sets seed 0, which is put back."""
    nb.cells.remove(cell_of(nb, "parameters"))
    setup = cell_of(nb, "setup-1")
    setup.source = setup.source.replace("seed=SEED", "seed=0")
    return HONEST


FILE_ATTACKS: list[Callable[[NotebookNode], set[str]]] = [
    *(checks_deleted, check_cell_edited, check_cell_twice, check_cells_swapped),
    *(metadata_claims_points, outputs_pasted_in, checks_before_answers, seed_fixed_in_an_answer),
]


# Answers of the three kinds that are used, as people hand them in who are wrong, or whose answer can't be taken: what they earn, and are told.
USED: dict[str, dict[str, tuple[str, float, str]]] = {
    "wrong": {
        "1a.3": (
            "def gaps(values):\n    return [b + a for a, b in zip(values, values[1:])]",
            1,
            "the differences",
        ),
        "1b.1": (
            "class Tally:\n    best = 0\n    def add(self, number):\n        return number",
            0,
            "sum and largest",
        ),
        "1b.2": ("def patient(fetch):\n    return fetch()", 0, "value and calls"),
        "1b.3": (
            'bands = lab.folder / "bands"\nbands.mkdir()\n'
            '(bands / "all.json").write_text(json.dumps({"name": "small", "low": 0, "high": 1000}))',
            0,
            "one band for each number",
        ),
        "1b.4": ('policy = {"limit": 999_999, "bands": ["small", "middle", "large"]}', 1, "the largest"),
        "1b.5": ("def ranked(values):\n    return sorted(values)", 0, "descending"),
    },
    "malformed": {
        "1a.3": ("gaps = 8", 0, "should be a function or a class"),
        "1b.1": ("base = object\n%run -i nowhere.py\nTally = type('Tally', (), {})", 0, "Tally"),
        "1b.2": (
            "import time as t\nfrom statistics import mean as patient",
            0,
            "no cell that was run defines it",
        ),
        "1b.3": (
            'bands = lab.folder / "bands"\nbands.mkdir()\n(bands / "small.JSON").write_text("{}")',
            0,
            "holds no file like",
        ),
        "1b.4": ('policy = {"limit": "many"}', 0, "have the form that the task describes"),
        "1b.5": ("ranked = lambda values: sorted(set(numbers), reverse=True)", 0, "NameError"),
    },
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The course of values, released, whose grader has little patience and no heap that a Spark server could have."""
    root = tmp_path_factory.mktemp("course")
    values_course.make(root, "\nc.JudgeSubmission.cell_timeout = 20\nc.JudgeSubmission.wall = 60.0\n")
    return Course(root, NAME, ATTACKS, {"PYTHONPATH": str(root), "LABS_HEAP": "none"}, FULL)


@contextlib.contextmanager
def dask_cluster(root: Path) -> Iterator[str]:
    """A scheduler and two workers with a thread each, on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    lines = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", address.split(":")[1], "--no-dashboard"],
        [*dask, "worker", address, "--nworkers=2", "--nthreads=1", "--memory-limit=0", "--no-dashboard"],
    ]
    env = os.environ | {"PYTHONPATH": str(root), "LABS_HEAP": "none"}
    started = [subprocess.Popen(line, cwd=root, env=env, start_new_session=True) for line in lines]
    try:
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def honest(course: Course) -> NotebookNode:
    """A notebook with the solution's answers to HONEST, and outputs of checks as after a run."""
    nb = course.with_answers({step: text for step, text in course.solved().items() if step in HONEST})
    for step in STEPS:
        verdict = {
            "step": step,
            "points": FULL[step],
            "max_points": FULL[step],
            "status": "pass",
            "findings": [],
        }
        data = {"text/plain": str(FULL[step]), "application/vnd.labs.verdict+json": verdict}
        cell = cell_of(nb, f"check-{step.replace('.', '-')}")
        cell.outputs = [nbformat.v4.new_output("execute_result", data=data, execution_count=1)]
    return nb


def malformed_files(course: Course) -> dict[str, bytes]:
    return malformed.files(paths.learner_file(course.root, NAME))


def student_of(malformed_file: str) -> str:
    return "malformed-" + re.sub(r"\W+", "-", malformed_file)


@pytest.fixture(scope="module")
def graded(course: Course) -> Graded:
    """The whole class, graded by one command."""
    course.submit_attackers()
    for attack in FILE_ATTACKS:
        nb = honest(course)
        attack(nb)
        course.submit(f"file-{attack.__name__}", nb)
    for name, answers in USED.items():
        course.submit(
            f"used-{name}", course.with_answers({step: text for step, (text, _, _) in answers.items()})
        )
    for name, content in malformed_files(course).items():
        course.submit(student_of(name), content)
    return course.grade()


class TestAttacks(Attacked):
    attacks = ATTACKS


@pytest.mark.parametrize("attack", FILE_ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_on_the_file_leaves_the_honest_steps(
    attack: Callable[[NotebookNode], set[str]], graded: Graded
) -> None:
    kept = attack(honest(graded.course))
    assert graded.points[f"file-{attack.__name__}"] == {
        step: FULL[step] if step in kept else 0 for step in STEPS
    }


@pytest.mark.parametrize("name", USED)
def test_what_is_used_earns_what_it_does_and_is_told_why(name: str, graded: Graded) -> None:
    assert graded.points[f"used-{name}"] == {step: USED[name].get(step, ("", 0, ""))[1] for step in STEPS}
    pages = (graded.course.root / "build" / "grading-report" / NAME / "learners").glob("*.html")
    page = html.unescape(next(text for path in pages if f"used-{name}" in (text := path.read_text())))
    assert [step for step, (_, _, told) in USED[name].items() if told not in page] == []


@pytest.mark.parametrize("name", malformed.CASES)
def test_a_malformed_file_is_named_and_has_no_points(name: str, graded: Graded) -> None:
    student = student_of(name)
    assert student not in graded.points
    said = re.search(rf"^{re.escape(student)} *\n  (.+)$", graded.printed, re.MULTILINE)
    assert said and len(said[1]) > 20, graded.printed
    page = graded.course.root / "build" / "grading-report" / NAME / "index.html"
    assert student in page.read_text()


def test_there_are_enough_attacks_and_malformed_files() -> None:
    everywhere = sorted((HERE / "attacks").rglob("*.py"))
    assert len(everywhere) + len(FILE_ATTACKS) >= 40
    assert len(malformed.CASES) >= 30
    assert all(path.read_text().startswith("# ") for path in everywhere), "say what the attack tries"


def test_the_attack_that_looks_for_secrets_saw_that_there_are_processes(graded: Graded) -> None:
    hidden = [
        path for path in (graded.course.root / "autograded").rglob("*.ipynb") if "hidden" in path.read_text()
    ]
    assert hidden


def test_a_box_and_a_judge_that_need_no_spark_start_none(graded: Graded) -> None:
    """A server that starts all the same ends at once, by its heap, and the report would say so."""
    assert graded.points["solution"] == FULL
    assert "Spark" not in graded.printed
    pages = list((graded.course.root / "build" / "grading-report" / NAME / "learners").glob("*.html"))
    told = [text for page in pages if ">used-" in (text := page.read_text()) or ">solution" in text]
    assert len(told) >= 3 and not any("Spark" in text for text in told)


def test_nothing_of_a_grader_that_is_killed_goes_on(course: Course) -> None:
    """No worker, no box, no judge: each ends with whoever began it."""
    course.submit("sleeper", course.with_answers({"1a.1": "import time\ntime.sleep(3600)"}))
    line = [sys.executable, "-m", "grader.cli", "grade", NAME, "--student", "sleeper"]
    grader = psutil.Popen(line, cwd=course.root, env=os.environ | dict(course.environment))
    while not any("ipykernel_launcher" in " ".join(part.cmdline()) for part in descendants(grader)):
        assert grader.poll() is None
        time.sleep(0.1)
    inside = descendants(grader)
    assert len(inside) > 5
    shutil.rmtree(course.root / "submitted" / "sleeper")
    grader.kill()
    grader.wait()
    assert psutil.wait_procs(inside, timeout=60)[1] == []


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """What runs below a process and has a command line; what ends meanwhile is left out."""
    found = []
    for each in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.cmdline():
                found.append(each)
    return found


def test_nothing_is_graded_twice(graded: Graded) -> None:
    """Results are kept: the second run starts no sandbox, and nbgrader's own command finds the same."""
    course = graded.course
    results = course.root / "build" / "grading" / NAME / "results"
    before = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert course.command("grader.cli", "grade", NAME).returncode == 0
    done = course.command("nbgrader", "autograde", NAME, "--student", "solution", "--force")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")} == before
    assert course.stored_points() == graded.points


def test_dask_workers_grade_too(graded: Graded) -> None:
    """A scheduler and two workers, as `dask scheduler` and `dask worker` start them: each grades, and finds the same points."""
    course = graded.course
    students = ["solution", "untouched", "file-checks_deleted", "packed-0"]
    results = course.root / "build" / "grading" / NAME / "results"
    kept = {path: path.read_bytes() for path in results.glob("*.json")}
    for path in kept:
        path.unlink()
    with dask_cluster(course.root) as address, Client(address, timeout="60s") as client:
        client.wait_for_workers(2, timeout=120)
        arguments = [f"--student={student}" for student in students]
        done = course.command("grader.cli", "grade", NAME, "--dask", address, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        # A lambda travels by value: the workers can't import this file.
        assert list(client.run(lambda: judge.kept_judges.cache_info().currsize).values()) == [1, 1]
    assert len(list(results.glob("*.json"))) == len(students)
    assert course.stored_points() == graded.points
    for path, content in kept.items():
        path.write_bytes(content)


def test_feedback_says_what_was_expected_and_escapes_what_was_handed_in(graded: Graded) -> None:
    root = graded.course.root
    done = graded.course.command("nbgrader", "generate_feedback", NAME, "--student", "untouched")
    assert done.returncode == 0, done.stderr
    page = (root / "feedback" / "untouched" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "summary" in page
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
