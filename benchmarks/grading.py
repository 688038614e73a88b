"""(e) A class through `grader grade`, against stock `nbgrader autograde` with classic sessions; and what the rest of grading costs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import classroom, ground
from benchmarks.classroom import NAME
from benchmarks.figures import Figure, Result
from benchmarks.ground import Ground
from grader.classroom import class_report
from grader.classroom.class_report import Result as Graded
from grader.course import paths
from grader.course.notebook import read
from grader.judging import submission
from grader.judging.reference import seed_of
from grader.judging.submission import Patience
from grader.sandbox.workbox import prepare
from labs_lib import registry
from labs_lib.checking.verdict import Verdict
from labs_lib.errors import LabsError

CLASS_TARGET, CONSTANCY_TARGET, REPORT_TARGET, SANDBOX_TARGET = 4.0, 0.1, 10.0, 1.1  # issue 4, "Speed"
FEW, MANY = 5, 50  # submissions, for the cost of one in a small and in a large class
REPORTED = 1000  # learners
TABLES = ("transactions", "products", "promotions", "stores", "households", "query_log")
# nbgrader as it comes: its own Execute, in place of the course's preprocessors.
STOCK = """
from nbgrader.converters import Autograde as _Autograde
c.Autograde.sanitize_preprocessors = _Autograde.sanitize_preprocessors.default()
c.Autograde.autograde_preprocessors = _Autograde.autograde_preprocessors.default()
c.ExecutePreprocessor.allow_errors = True
"""


def measure(place: Ground, submissions: int, many: int, console: Console) -> Result:
    """Grade module 1 for a class in both ways, a short exercise for few and for many, and the parts by themselves.

    `submissions` is the size of the class for module 1, `many` that of the larger class of the short exercise (0: leave out).
    """
    stock = _stock(place)
    console.print(f"(e) stock, one submission: {stock:.0f} s", highlight=False)
    ready, each = _class(place, submissions)
    console.print(f"(e) making ready {ready:.0f} s, then {each:.0f} s a submission", highlight=False)
    figures = [
        Figure("e", "stock / class batch, per submission", stock / each, "x", CLASS_TARGET, "higher"),
        Figure(
            "e",
            f"  the same, with making ready shared by {submissions}",
            stock / (each + ready / submissions),
            "x",
        ),
    ]
    raw: dict[str, object] = {"stock": stock, "ready": ready, "each": each, "submissions": submissions}
    if many:
        few_each, many_each = _constancy(place, many)
        console.print(
            f"(e) short exercise: {few_each:.1f} s each of {FEW}, {many_each:.1f} s each of {many}",
            highlight=False,
        )
        figures.append(
            Figure(
                "e",
                f"cost of one among {many} / among {FEW}, distance from 1",
                abs(many_each / few_each - 1),
                "",
                CONSTANCY_TARGET,
            )
        )
        raw |= {"few": few_each, "many": many_each}
    report = _report(place)
    figures.append(Figure("e", f"report on {REPORTED} learners", report, "s", REPORT_TARGET))
    inside, outside = _sandbox(place)
    console.print(f"(e) in the sandbox {inside:.0f} s, without {outside:.0f} s", highlight=False)
    figures.append(Figure("e", "sandbox / no sandbox", inside / outside, "x", SANDBOX_TARGET))
    raw |= {"report": report, "inside": inside, "outside": outside}
    counted = (
        f"(e) Module 1's solution, handed in {submissions} times with different notes, by `grader grade` on {os.cpu_count()} cores, "
        "against one of them by nbgrader's own Execute with a classic session, whose checks give points without looking. "
        "Making ready (the solution's own run under the grading seed) is done once a module and given apart."
    )
    return Result(tuple(figures), counted, raw)


def command(place: Ground, root: Path, environment: dict[str, str], *arguments: str) -> float:
    """Seconds that a command takes in a course. Raises LabsError if it fails."""
    folder = place.fresh("command")
    began = time.monotonic()
    command = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(root), sys.executable, "-m", *arguments]
    with ground.process(command, environment, folder) as started:
        status = started.wait(timeout=None)
    seconds = time.monotonic() - began
    if status:
        raise LabsError(f"{' '.join(arguments)} ended with status {status}:\n{ground.tail(folder)}")
    return seconds


def _stock(place: Ground) -> float:
    root = place.fresh("stock") / "course"
    classroom.module_1(root)
    with (root / "nbgrader_config.py").open("a", encoding="utf-8") as config:
        config.write(STOCK)
    classroom.submit_solutions(root, 0, 1)
    startup = root / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("classic_kernel.py"), startup / "00-classic.py")
    environment = place.stock_environment | {
        "IPYTHONDIR": str(root / "ipython"),
        "LABS_HOME": place.course_environment["LABS_HOME"],
        "LABS_WORKSPACE": str(root / "workspace"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    (root / "workspace").mkdir()
    seconds = command(place, root, environment, "nbgrader", "autograde", NAME, "--create")
    executed = read(root / "autograded" / "student-000" / NAME / f"{NAME}.ipynb")
    if not any("execution_count" in cell and cell.execution_count for cell in executed.cells):
        raise LabsError("Stock nbgrader executed nothing.")
    return seconds


def _class(place: Ground, submissions: int) -> tuple[float, float]:
    """Seconds of making ready, and of each submission then."""
    root = place.fresh("class") / "course"
    classroom.module_1(root)
    ready = make_ready(place, root, {})
    classroom.submit_solutions(root, 0, submissions)
    return ready, command(place, root, place.course_environment, "grader.cli", "grade", NAME) / submissions


def make_ready(place: Ground, root: Path, environment: dict[str, str]) -> float:
    """Seconds that the solution's own run in a course takes, under a seed that is drawn for it. Raises LabsError if it fails."""
    code = (
        "from pathlib import Path; from grader.classroom import batch; from grader.course import paths; root = Path.cwd(); "
        f"batch.make_ready(root, paths.chosen(root, {NAME!r})[0], batch.patience_of(root))"
    )
    began = time.monotonic()
    folder = place.fresh("ready")
    line = ["sh", "-c", 'cd "$1" && exec "$2" -c "$3"', "sh", str(root), sys.executable, code]
    with ground.process(line, place.course_environment | environment, folder) as started:
        if started.wait():
            raise LabsError(f"Making ready failed:\n{ground.tail(folder)}")
    return time.monotonic() - began


def _constancy(place: Ground, many: int) -> tuple[float, float]:
    """Seconds per submission of the short exercise in a small and in a large class, on small tables."""
    root = place.fresh("short") / "course"
    classroom.small_course(root)
    small = {"LABS_SCALE": "0.3"}
    make_ready(place, root, small)
    seconds = []
    for first, count in ((0, FEW), (FEW, many)):
        classroom.submit_solutions(root, first, count)
        students = [f"--student=student-{number:03d}" for number in range(first, first + count)]
        environment = place.course_environment | small
        seconds.append(command(place, root, environment, "grader.cli", "grade", NAME, *students) / count)
    return seconds[0], seconds[1]


def _report(place: Ground) -> float:
    """Seconds of writing the report on many learners, each with partly right answers."""
    module = registry.module(NAME)
    steps = list(registry.steps(module))
    results = [
        Graded(
            f"student-{number:04d}",
            tuple(
                Verdict(
                    step.id,
                    step.title,
                    *(("pass", step.points) if (number + place_) % 3 else ("fail", 0)),
                    step.points,
                    "As found.",
                )
                for place_, step in enumerate(steps)
            ),
            seconds=60.0 + number % 50,
        )
        for number in range(REPORTED)
    ]
    began = time.monotonic()
    class_report.write(place.fresh("report"), module, results)
    return time.monotonic() - began


def _sandbox(place: Ground) -> tuple[float, float]:
    """Seconds of one run of the solution's exercises in the sandbox and without: medians of two each, in turn."""
    root = place.fresh("sandbox") / "course"
    classroom.module_1(root)
    module = paths.chosen(root, NAME)[0]
    seed = seed_of(root, NAME)
    data = prepare(seed, TABLES)
    notebook = read(paths.solution_file(root, NAME))
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for protected in (True, False, False, True):
        with submission.run(notebook, module, seed, data, protected, Patience()) as ran:
            seconds[protected].append(ran.ended.seconds)
    return median(seconds[True]), median(seconds[False])
