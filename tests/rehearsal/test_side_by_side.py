"""Runs side by side: at once and apart, one's failure beside the other's success, and all of them ended by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import tiny_course
from tiny_course import NAME, Silent, edit_json

from grader.course import paths
from grader.rehearsal.side_by_side import check_modules
from labs_lib import settings

pytestmark = pytest.mark.ledger

PRINT = 'print("rows:", 40 + 2)'
LIMIT = 300  # seconds after which a test that waits for what never comes fails


def put(root: Path, code: str) -> None:
    """Let the lesson of the executed notebook do something that prints nothing."""
    edit_json(paths.solution_file(root, NAME), PRINT, f"{code}\n{PRINT}")


def meet(folder: Path) -> str:
    """Code that says who runs it, and waits until a second one is there."""
    return f"""here = pathlib.Path({str(folder)!r})
(here / f"{{os.getpid()}}-{{SEED}}").write_text(os.environ["LABS_HOME"])
until = time.monotonic() + {LIMIT}
while len(list(here.iterdir())) < 2 and time.monotonic() < until:
    time.sleep(0.05)
assert len(list(here.iterdir())) == 2"""


def test_both_stages_of_a_module_run_at_once_each_with_a_server_of_its_own(tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    (tmp_path / "met").mkdir()
    put(tmp_path, meet(tmp_path / "met"))
    listener = Silent()
    outcomes = check_modules(tmp_path, [module], 7, 2, listener)
    assert [(o.stage, o.seed, o.ok) for o in outcomes] == [("fresh seed", 7, True), ("replay", None, True)]
    assert sorted(run.status for run in listener.runs) == ["pass"] * 5 + ["same"] * 5
    homes = {path.name.split("-")[1]: path.read_text() for path in (tmp_path / "met").iterdir()}
    assert homes["7"] == str(settings.home()) != homes["0"] and not Path(homes["0"]).exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_and_what_dies_is_named_and_the_other_goes_on(jobs: int, tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path)
    put(tmp_path, "assert SEED == 0 or os.kill(os.getppid(), 9)")
    listener = Silent()
    fresh, replayed = check_modules(tmp_path, [module], 7, jobs, listener)
    assert [failure.sentence for failure in fresh.failures] == ["the run's process ended with exit code -9"]
    assert replayed.ok and list(fresh.failures) == listener.failures


def test_ctrl_c_ends_every_run_and_its_kernel(tmp_path: Path) -> None:
    tiny_course.finished(tmp_path)
    met = tmp_path / "met"
    met.mkdir()
    put(tmp_path, f"{meet(met)}\ntime.sleep({LIMIT})")
    # A shell's background ignores SIGINT, and what is started there does too.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import grader.cli; grader.cli.app()"
    line = [sys.executable, "-c", code, "check", "--root", str(tmp_path), "--jobs", "2"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True) as check:
        until = time.monotonic() + LIMIT
        while len(list(met.iterdir())) < 2 and check.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        family = psutil.Process(check.pid).children(recursive=True)
        assert {int(path.name.split("-")[0]) for path in met.iterdir()} <= {each.pid for each in family}
        os.kill(check.pid, signal.SIGINT)
        said, _ = check.communicate(timeout=LIMIT)
    assert check.returncode == 130 and "Interrupted" in said
    left = psutil.wait_procs(family, timeout=LIMIT)[1]
    assert left == []
