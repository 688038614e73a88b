"""A class of honest, broken and hostile submissions through `grader grade`: points are what was earned, and nothing else happens.

The course is exercise 1a without its lessons. Attacks are in tests/attacks: a file named after a step stands in that step's answer
cell, where it may earn what its comment says (else nothing); `alone-...` stands in 1a.1 of a submission of its own, whose other answers
are right. Attacks on the notebook file itself are the functions below. Files that are no notebooks are in malformed.py.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import malformed
import nbformat
import psutil
import pytest
from distributed import Client
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from benchmarks.classroom import NAME, small_course
from grader.classroom import batch
from grader.course import paths
from grader.course.notebook import read

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

HERE = Path(__file__).resolve().parents[1]
STEPS = ["1a.1", "1a.2", "1a.3", "1a.4", "1a.5"]
FULL = {"1a.1": 2, "1a.2": 2, "1a.3": 3, "1a.4": 2, "1a.5": 2}
HONEST = {"1a.2", "1a.5"}  # what attackers of the file have solved: the steps that are quickest to judge
SECRET = "labs-secret-of-the-caller"
ATTACKS = sorted((HERE / "attacks").glob("*.py"))


@dataclass
class Graded:
    """What the class's one grading left: points by student and step, the printed lines, and the course's folder."""

    root: Path
    printed: str
    points: dict[str, dict[str, float]]


def cell_of(nb: NotebookNode, grade_id: str) -> NotebookNode:
    return next(cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


# Attacks on the notebook file. Each takes the solution as a learner might hand it in, and says which steps still count.
def checks_deleted(nb: NotebookNode) -> set[str]:
    """No check cells at all: they are put back behind the answers."""
    nb.cells = [cell for cell in nb.cells if not cell.metadata.get("nbgrader", {}).get("grade")]
    return HONEST


def check_cell_edited(nb: NotebookNode) -> set[str]:
    """A check cell claims its points itself. It is put back, and the answer below it is wrong."""
    cell_of(nb, "check-1a-5").source = "2.0"
    cell_of(nb, "answer-1a-5").source = "tuning_card = []"
    return HONEST - {"1a.5"}


def check_cell_twice(nb: NotebookNode) -> set[str]:
    """A second check cell of the same id after the first, with a claim."""
    cell_of(nb, "answer-1a-5").source = "tuning_card = []"
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
    cell_of(nb, "answer-1a-5").source = "tuning_card = []\n1000.0"
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


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of exercise 1a without its lessons, released, whose grader has little patience."""
    root = tmp_path_factory.mktemp("course")
    small_course(root, "\nc.JudgeSubmission.cell_timeout = 60\nc.JudgeSubmission.wall = 150.0\n")
    return root


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in {"LABS_GRADE_TRUSTING", "LABS_NO_SANDBOX"}
    }
    env |= {"LABS_TEST_SECRET": SECRET, "LABS_SCALE": "0.3"}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=root, env=env, capture_output=True, text=True, timeout=3000
    )


@contextlib.contextmanager
def dask_cluster() -> Iterator[str]:
    """A scheduler and two workers with a thread each, on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    dask = [sys.executable, "-m", "dask"]
    lines = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", address.split(":")[1], "--no-dashboard"],
        [*dask, "worker", address, "--nworkers=2", "--nthreads=1", "--memory-limit=0", "--no-dashboard"],
    ]
    env = os.environ | {"LABS_SCALE": "0.3"}
    started = [subprocess.Popen(line, env=env, start_new_session=True) for line in lines]
    try:
        yield address
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def submit(root: Path, student: str, content: NotebookNode | bytes) -> None:
    path = root / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else nbformat.writes(content).encode())


def with_answers(root: Path, answers: dict[str, str]) -> NotebookNode:
    """The learner's notebook with these answers."""
    nb = read(paths.learner_file(root, NAME))
    for step, text in answers.items():
        cell_of(nb, f"answer-{step.replace('.', '-')}").source = text
    return nb


def solved(root: Path) -> dict[str, str]:
    nb = read(paths.solution_file(root, NAME))
    return {step: cell_of(nb, f"answer-{step.replace('.', '-')}").source for step in STEPS}


def honest(root: Path) -> NotebookNode:
    """A notebook with the solution's answers to HONEST, and outputs of checks as after a run."""
    nb = with_answers(root, {step: text for step, text in solved(root).items() if step in HONEST})
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


def packed() -> list[dict[str, Path]]:
    """The attacks on single steps, put together into as few submissions as hold them."""
    by_step = {step: [path for path in ATTACKS if path.stem.startswith(step)] for step in STEPS}
    most = max(map(len, by_step.values()))
    return [{step: paths[k] for step, paths in by_step.items() if k < len(paths)} for k in range(most)]


def alone() -> list[Path]:
    return [path for path in ATTACKS if path.stem.startswith("alone-")]


def student_of(malformed_file: str) -> str:
    return "malformed-" + re.sub(r"\W+", "-", malformed_file)


def stored_points(root: Path) -> dict[str, dict[str, float]]:
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        return {
            submission.student_id: {
                grade.name.removeprefix("check-").replace("-", "."): grade.score
                for notebook in submission.notebooks
                for grade in notebook.grades
            }
            for submission in gradebook.assignment_submissions(NAME)
        }


@pytest.fixture(scope="module")
def graded(released: Path) -> Graded:
    """The whole class, graded by one command."""
    root = released
    answers = solved(root)
    submit(root, "solution", with_answers(root, answers))
    untouched = with_answers(root, {})
    untouched.cells.append(nbformat.v4.new_markdown_cell("<script>alert(1)</script> **my notes**"))
    submit(root, "untouched", untouched)
    for number, attacks in enumerate(packed()):
        submit(
            root,
            f"packed-{number}",
            with_answers(root, {step: path.read_text() for step, path in attacks.items()}),
        )
    for path in alone():
        submit(root, path.stem, with_answers(root, {"1a.1": path.read_text(), "1a.5": answers["1a.5"]}))
    for attack in FILE_ATTACKS:
        nb = honest(root)
        attack(nb)
        submit(root, f"file-{attack.__name__}", nb)
    for name, content in malformed.files().items():
        submit(root, student_of(name), content)
    done = command(root, "grader.cli", "grade", NAME)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Graded(root, done.stdout, stored_points(root))


def test_the_solution_gets_everything_and_an_untouched_notebook_nothing(graded: Graded) -> None:
    assert graded.points["solution"] == FULL
    assert set(graded.points["untouched"].values()) == {0}


@pytest.mark.parametrize(
    "path", [path for path in ATTACKS if path not in alone()], ids=lambda path: path.stem
)
def test_an_attack_earns_what_its_honest_part_is_worth(path: Path, graded: Graded) -> None:
    step = path.stem.split("-")[0]
    number = next(number for number, attacks in enumerate(packed()) if attacks.get(step) == path)
    stated = re.search(r"Earns: ([\d.]+)", path.read_text())
    assert graded.points[f"packed-{number}"][step] == (float(stated[1]) if stated else 0)


@pytest.mark.parametrize("path", alone(), ids=lambda path: path.stem)
def test_a_violent_attack_earns_nothing_and_is_told_of(path: Path, graded: Graded) -> None:
    assert graded.points[path.stem]["1a.1"] == 0
    assert all(graded.points[path.stem][step] <= FULL[step] for step in STEPS)
    assert path.stem in graded.printed


@pytest.mark.parametrize("attack", FILE_ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_on_the_file_leaves_the_honest_steps(
    attack: Callable[[NotebookNode], set[str]], graded: Graded
) -> None:
    kept = attack(honest(graded.root))
    assert graded.points[f"file-{attack.__name__}"] == {
        step: FULL[step] if step in kept else 0 for step in STEPS
    }


@pytest.mark.parametrize("name", malformed.files())
def test_a_malformed_file_is_named_and_has_no_points(name: str, graded: Graded) -> None:
    student = student_of(name)
    assert student not in graded.points
    said = re.search(rf"^{re.escape(student)} *\n  (.+)$", graded.printed, re.MULTILINE)
    assert said and len(said[1]) > 20, graded.printed
    assert student in (graded.root / "build" / "grading-report" / NAME / "index.html").read_text()


def test_there_are_enough_attacks_and_malformed_files() -> None:
    assert len(ATTACKS) + len(FILE_ATTACKS) >= 40
    assert len(malformed.files()) >= 30
    assert all(path.read_text().startswith("# ") for path in ATTACKS), "say what the attack tries"


def test_nothing_was_seen_reached_or_left(graded: Graded) -> None:
    notebooks = [read(path) for path in (graded.root / "autograded").rglob("*.ipynb")]
    outputs = [str(cell.outputs) for nb in notebooks for cell in nb.cells if cell.cell_type == "code"]
    assert any("hidden" in output for output in outputs)
    for output in outputs:
        assert SECRET not in output and "<script>alert" not in output
        assert not re.search(r"SEEN (\[[^\]]|\{|\d)|CONNECTED|WROTE", output), output
    commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in commands if "labs-attack-daemon" in line or "submission.ipynb" in line]
    assert not Path("/tmp/stolen").exists()


def test_nothing_is_graded_twice(graded: Graded) -> None:
    """Results are kept: the second run starts no sandbox, and nbgrader's own command finds the same."""
    results = graded.root / "build" / "grading" / NAME / "results"
    before = {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert command(graded.root, "grader.cli", "grade", NAME).returncode == 0
    done = command(graded.root, "nbgrader", "autograde", NAME, "--student", "solution", "--force")
    assert done.returncode == 0, done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in results.glob("*.json")} == before
    assert stored_points(graded.root) == graded.points


def test_dask_workers_grade_too(graded: Graded) -> None:
    """A scheduler and two workers, as `dask scheduler` and `dask worker` start them: each grades, and finds the same points."""
    students = ["solution", "untouched", "file-checks_deleted", "packed-0"]
    results = graded.root / "build" / "grading" / NAME / "results"
    kept = {path: path.read_bytes() for path in results.glob("*.json")}
    for path in kept:
        path.unlink()
    with dask_cluster() as address, Client(address, timeout="60s") as client:
        client.wait_for_workers(2, timeout=120)
        arguments = [f"--student={student}" for student in students]
        done = command(graded.root, "grader.cli", "grade", NAME, "--dask", address, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        # A lambda travels by value: the workers can't import this file.
        assert list(client.run(lambda: batch._judges.cache_info().currsize).values()) == [1, 1]
    assert len(list(results.glob("*.json"))) == len(students)
    assert stored_points(graded.root) == graded.points
    for path, content in kept.items():
        path.write_bytes(content)


def test_feedback_says_what_was_expected_and_escapes_what_was_handed_in(graded: Graded) -> None:
    done = command(graded.root, "nbgrader", "generate_feedback", NAME, "--student", "untouched")
    assert done.returncode == 0, done.stderr
    page = (graded.root / "feedback" / "untouched" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "slow_stage" in page
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
