"""One submission's trouble with the judge is nobody else's: a real box and border, and a small program in the judge's place, so no Spark."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.judging import judge, submission
from grader.judging.judge import Judged, Judges
from grader.judging.submission import Patience, Ran
from grader.sandbox import children
from grader.sandbox.runner import Ended
from grader.sandbox.workbox import Workbox
from grader.vetting.removal import remove_tree
from labs_lib import registry
from labs_lib.errors import LabsError

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

MODULE = registry.module("01_optimization")
STEPS = list(registry.steps(MODULE))
FIRST, SECOND = STEPS[0].id, STEPS[1].id
PATIENCE = Patience(judging=2.0)

# Gives every step full points, but for what its evidence says to do; `earlier` is how many were judged here before.
STAND_IN = """
import json, os, sys, time
from pathlib import Path
from labs_lib import registry
inbox, earlier = Path(sys.argv[1]), 0
while True:
    folder, out = inbox / str(earlier), Path("out", str(earlier))
    while not folder.is_dir():
        time.sleep(0.02)
    out.mkdir()
    for step in map(registry.step, json.loads((folder / "plan.json").read_text())["steps"]):
        evidence = folder / "evidence" / f"{step.id}.json"
        do = json.loads(evidence.read_text())["do"] if evidence.exists() else ""
        if do == "die" or do == "die later" and earlier:
            os._exit(9)
        if do == "hang" or do == "hang later" and earlier:
            time.sleep(600)
        verdict = dict(step=step.id, title=step.title, status="pass", points=step.points, max_points=step.points,
                       sentence="", findings=[], hints=[], seconds=0.0)
        text = "{" if do == "garble" else json.dumps({"verdict": verdict, "evidence": None})
        (out / f"{step.id}.tmp").write_text(text)
        (out / f"{step.id}.tmp").rename(out / f"{step.id}.json")
    (out / "done.tmp").write_text(json.dumps({"clean": True}))
    (out / "done.tmp").rename(out / "done.json")
    earlier += 1
"""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Emptied here, as pytest's own rmtree ends in what some tests put there."""
    yield tmp_path
    assert remove_tree(tmp_path) == []


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judges]:
    monkeypatch.setattr(judge, "PROGRAM", ("-c", STAND_IN))
    monkeypatch.setattr(judge, "START", 0.0)
    with Judges() as judges:
        yield judges


def left(folder: Path, **evidence: str) -> Ran:
    """What a run left: evidence that says for some steps what the judge shall do."""
    place = folder / "workspace" / MODULE.name
    (place / "evidence").mkdir(parents=True)
    (place / "tables").mkdir()
    for step, do in evidence.items():
        (place / "evidence" / f"{step}.json").write_text(json.dumps({"do": do}))
    box = Workbox(folder, Path("/box"), folder, (), {})
    return Ran(box, MODULE.name, Ended(0, "ended", "It ended without an error.", 1.0, ""), None)


def judged(judges: Judges, ran: Ran) -> Judged:
    return judges.judge(ran, MODULE, 1, None, [], [], True, PATIENCE)


def judge_of(judges: Judges) -> object:
    """The judge that the next submission would meet; None if that has a new one."""
    return judges._judge


def lost(result: Judged) -> list[str]:
    """The steps that did not get full points."""
    return [verdict.step for verdict in result.verdicts if not verdict.passed]


@pytest.mark.parametrize("trouble", ["die", "hang", "garble"])
def test_what_ends_every_judge_costs_its_own_step_and_no_other(
    trouble: str, judges: Judges, tmp_path: Path
) -> None:
    assert lost(judged(judges, left(tmp_path / "before"))) == []
    kept = judge_of(judges)
    result = judged(judges, left(tmp_path / "worst", **{SECOND: trouble}))
    assert lost(result) == [SECOND] and SECOND in result.problems[0]
    assert judge_of(judges) is not kept
    assert lost(judged(judges, left(tmp_path / "after"))) == []


@pytest.mark.parametrize("trouble", ["die later", "hang later"])
def test_what_ends_a_judge_that_others_used_is_judged_again_by_a_fresh_one(
    trouble: str, judges: Judges, tmp_path: Path
) -> None:
    assert lost(judged(judges, left(tmp_path / "before"))) == []
    result = judged(judges, left(tmp_path / "honest", **{FIRST: trouble, SECOND: trouble}))
    assert lost(result) == [] and result.problems == ()


def once(error: BaseException, then: Callable[..., Any]) -> Callable[..., Any]:
    """A function that raises the first time and is `then` afterwards."""
    calls = iter([error])

    def function(*arguments: Any, **options: Any) -> Any:
        for error in calls:
            raise error
        return then(*arguments, **options)

    return function


@pytest.mark.parametrize("step", ["take_evidence", "take_tables"])
def test_an_error_at_the_border_replaces_the_judge_and_is_tried_again(
    step: str, judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the inbox's number had gone on and the judge's had not, the next submission was waited for in the wrong place."""
    assert lost(judged(judges, left(tmp_path / "before"))) == []
    kept = judge_of(judges)
    monkeypatch.setattr(Ran, step, once(OSError(36, "File name too long"), getattr(Ran, step)))
    assert lost(judged(judges, left(tmp_path / "odd"))) == []
    assert judge_of(judges) not in (kept, None)
    assert lost(judged(judges, left(tmp_path / "after"))) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_an_error_that_stays_gives_no_result_and_the_next_is_judged(
    error: BaseException, judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost(judged(judges, left(tmp_path / "before"))) == []

    def failing(*_: Any) -> None:
        raise error

    with (
        monkeypatch.context() as patch,
        pytest.raises(LabsError if isinstance(error, OSError) else type(error)),
    ):
        patch.setattr(Ran, "take_tables", failing)
        judged(judges, left(tmp_path / "odd"))
    assert judge_of(judges) is None
    assert lost(judged(judges, left(tmp_path / "after"))) == []


def nested(folder: Path, name: str = "d", levels: int = 1_500) -> None:
    inner = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=inner)
        deeper = os.open(name, os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.close(inner)


def long_paths(folder: Path) -> None:
    """Each name is allowed; the path is longer than the system takes where the judge's inbox stands before it."""
    nested(folder, "d" * 250, 20)


def unreadable(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner").chmod(0o000)
    folder.chmod(0o000)


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")


@pytest.mark.parametrize("place", ["evidence", "tables/daily_sales", "tables"])
@pytest.mark.parametrize("spoil", [long_paths, unreadable, a_file, nested], ids=lambda spoil: spoil.__name__)
def test_what_cannot_be_handed_over_is_refused_and_the_next_is_judged(
    place: str, spoil: Callable[[Path], None], judges: Judges, tmp_path: Path
) -> None:
    assert lost(judged(judges, left(tmp_path / "before"))) == []
    ran = left(tmp_path / "odd")
    folder = tmp_path / "odd" / "workspace" / MODULE.name / place
    folder.mkdir(exist_ok=True)
    kept = judge_of(judges)
    spoil(folder)
    refused = judged(judges, ran).problems
    assert judge_of(judges) is (None if refused else kept)
    assert refused or place == "tables" or spoil is unreadable  # which it is not to root
    assert lost(judged(judges, left(tmp_path / "after"))) == []


def test_nothing_is_left_of_the_judges(
    judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    judged(judges, left(tmp_path / "worst", **{FIRST: "die"}))
    assert len(list(tmp_path.glob("labs-box-*"))) == 1  # the one that is kept
    judges.close()
    assert list(tmp_path.glob("labs-box-*")) == []


# What goes along


def table(ran: Ran, name: str, size: int) -> None:
    """A table of one sparse file."""
    folder = ran.box.path / "workspace" / MODULE.name / "tables" / name
    folder.mkdir()
    with (folder / "part-0.parquet").open("wb") as file:
        file.truncate(size)


def test_tables_share_one_budget_by_apparent_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "TABLE_BYTES", 10 * 2**20)
    ran = left(tmp_path / "ran")
    names = [f"sales_{number:02}" for number in range(12)]
    for name in names:
        table(ran, name, 4 * 2**20)
    refused = ran.take_tables(tmp_path / "taken", names, [])
    taken = [path for path in (tmp_path / "taken").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in taken) == 8 * 2**20
    assert len(taken) == 2 and len(refused) == 10 and "above" in next(iter(refused.values()))


def test_tables_go_along_if_a_step_answers_with_them_or_evidence_names_them(tmp_path: Path) -> None:
    ran = left(tmp_path / "ran")
    for name in ("answered", "in_a_plan", "in_text", "of_a_lesson", "transactions"):
        table(ran, name, 10)
    plan = base64.b64encode(b"\\x0a\\x09labs.In_A_Plan\\x12\\x00").decode()
    said = json.dumps({"plan": plan, "note": "see IN_TEXT", "odd": "QUJD" * 30 + "="}).encode()
    assert ran.take_tables(tmp_path / "taken", {"answered"}, [said]) == {}
    assert sorted(os.listdir(tmp_path / "taken")) == ["answered", "in_a_plan", "in_text"]


# A judge that is replaced


@pytest.mark.parametrize("grown", [("GROWN_MEMORY", 0), ("GROWN_DISK", 0)], ids=["memory", "disk"])
def test_a_judge_that_grew_is_replaced(
    grown: tuple[str, int], judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lost(judged(judges, left(tmp_path / "first"))) == []
    kept = judge_of(judges)
    assert kept is not None and lost(judged(judges, left(tmp_path / "second"))) == []
    assert judge_of(judges) is kept
    monkeypatch.setattr(judge, *grown)
    assert lost(judged(judges, left(tmp_path / "third"))) == []
    assert judge_of(judges) is None
    assert lost(judged(judges, left(tmp_path / "fourth"))) == []


def test_when_the_machine_fails_the_judge_there_is_no_result(
    judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.sandbox.watch.available", lambda: 0)
    with pytest.raises(LabsError, match="nothing was kept"):
        judged(judges, left(tmp_path / "one", **{FIRST: "hang"}))


# Gives full points for a step whose definition, tried in a box from the grader's door, doubles 21; the others have no points.
TRIES_DEFINITIONS = """
import json, sys, time
from pathlib import Path
from grader.sandbox.children import boxed_child
from labs_lib import registry
from labs_lib.driving.driver import Child
folder, out = Path(sys.argv[1], "0"), Path("out", "0")
while not folder.is_dir():
    time.sleep(0.02)
out.mkdir()
for step in map(registry.step, json.loads((folder / "plan.json").read_text())["steps"]):
    evidence, right = folder / "evidence" / f"{step.id}.json", False
    if evidence.exists():
        with boxed_child(Path(sys.argv[2])) as channel:
            child = Child(channel)
            right = not child.load(json.loads(evidence.read_text())["do"], "double").error and child.call("", 21).value == 42
    verdict = dict(step=step.id, title=step.title, status="pass" if right else "fail", points=step.points * right,
                   max_points=step.points, sentence="", findings=[], hints=[], seconds=0.0)
    (out / f"{step.id}.json").write_text(json.dumps({"verdict": verdict, "evidence": None}))
(out / "done.tmp").write_text(json.dumps({"clean": True}))
(out / "done.tmp").rename(out / "done.json")
time.sleep(600)
"""


@pytest.fixture
def trying(judges: Judges, monkeypatch: pytest.MonkeyPatch) -> Judges:
    monkeypatch.setattr(judge, "PROGRAM", ("-c", TRIES_DEFINITIONS))
    monkeypatch.setattr(judge, "START", 30.0)
    return judges


def test_a_judge_tries_definitions_in_boxes_that_the_grader_hands_out(trying: Judges, tmp_path: Path) -> None:
    sees_checks = "import labs_lib.checking.checker\ndouble = lambda n: 2 * n"
    ran = left(tmp_path / "left", **{FIRST: "double = lambda n: n + n", SECOND: sees_checks})
    assert lost(judged(trying, ran)) == [step.id for step in STEPS[1:]]


def test_a_definition_that_gets_no_box_gives_no_result(
    trying: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "visible", lambda: [tmp_path / "nowhere"])
    with pytest.raises(LabsError, match="nowhere does not exist"):
        judged(trying, left(tmp_path / "left", **{FIRST: "double = lambda n: n + n"}))
