"""What a check says of answers that are missing, of the wrong type, that raise, or that build on an unsolved step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grader.vetting.admit import admit
from labs_lib import registry
from labs_lib.checking import cards
from labs_lib.checking.checker import blame_earlier_step, examine, judge
from labs_lib.checking.evidence import Evidence, Unusable, capture, plain
from labs_lib.checking.observer import Observer
from labs_lib.checking.progress_file import load, progress
from labs_lib.checking.verdict import Finding, Verdict, settle
from labs_lib.engine import session
from labs_lib.errors import LabsError
from labs_lib.lab import Lab, open_lab

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    before = os.environ.get("LABS_WORKSPACE")
    os.environ["LABS_WORKSPACE"] = str(tmp_path_factory.mktemp("checker"))
    session.close()  # temporary views of other tests' notebooks would be evidence here
    yield open_lab("01_optimization")
    del os.environ["LABS_WORKSPACE"]
    if before:
        os.environ["LABS_WORKSPACE"] = before


def verdict(step_id: str, lab: Lab, names: dict[str, Any]) -> Verdict:
    step = registry.step(step_id)
    return judge(step, examine(step, capture(step, names, lab), lab), None)


def test_each_kind_of_trouble_has_its_own_sentence(lab: Lab) -> None:
    spark = lab.spark
    broken = spark.sql("SELECT product_id, raise_error('no luck') AS lines FROM VALUES (1) AS t(product_id)")
    slow = spark.range(3)
    told = {
        "missing": verdict("1a.3", lab, {}),
        "placeholder": verdict("1a.3", lab, {"tuned": ...}),
        "wrong type": verdict("1a.3", lab, {"tuned": pd.DataFrame()}),
        "raises": verdict(
            "1a.2", lab, {"slow": slow, "hot_keys": broken, "shuffle_join": {"operator": "", "keys": []}}
        ),
        "half": verdict("1a.2", lab, {"slow": slow, "hot_keys": slow}),
        "other keys": verdict("1b.5", lab, {"dry_run": {"files": 1}, "oldest_readable": "five"}),
    }
    assert told["missing"].status == told["placeholder"].status == "unanswered"
    assert "`tuned` is not there" in told["missing"].sentence
    assert told["wrong type"].sentence == (
        "`tuned` should be a Spark DataFrame, whose plan is looked at; it is a pandas DataFrame: leave out toPandas()."
    )
    assert "Running `hot_keys` failed: " in told["raises"].sentence and "no luck" in told["raises"].sentence
    assert told["half"].sentence == "Still missing: `shuffle_join`." and told["half"].status == "fail"
    assert "`oldest_readable` should be of type int; it is of type str." in told["other keys"].sentence
    assert all(each.points == 0 and "\n" not in each.sentence for each in told.values())


def test_a_step_that_builds_on_an_unsolved_one_says_so() -> None:
    step = registry.step("1a.4")
    failed = settle(step.id, step.title, 2, [Finding("a", False, "b", "c")], step.hints)
    blocked = blame_earlier_step(failed, step, solved=set())
    assert (
        blocked.status == "blocked" and "builds on 1a.3 (Fix it), which is not solved yet" in blocked.sentence
    )
    assert blame_earlier_step(failed, step, solved={"1a.3"}) == failed
    passed = replace(failed, status="pass", points=step.points)
    assert blame_earlier_step(passed, step, solved=set()).points == 0


def test_points_are_shared_by_weight_and_rounded_down_to_halves() -> None:
    findings = [
        Finding("a", True, "", "", weight=2),
        Finding("b", False, "x", "y"),
        Finding("c", False, "x", "y"),
    ]
    assert settle("1a.1", "t", 3, findings, ()).points == 1.5
    assert settle("1a.1", "t", 3, findings[1:], ()).status == "fail"
    assert settle("1a.1", "t", 3, findings[:1], ()).status == "pass"


class Claims(int):
    """A number that says that it equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value", [Claims(3), float("nan"), object(), [Claims(1)], {"a": object()}, lambda: 3]
)
def test_only_plain_data_becomes_evidence(value: object) -> None:
    with pytest.raises(Unusable):
        plain(value)


def test_numbers_of_the_usual_libraries_are_plain_data() -> None:
    rows = pd.DataFrame({"n": np.array([1, 2]), "x": [0.5, 1.5], "s": ["a", "b"]})
    assert json.loads(json.dumps(plain(rows))) == [{"n": 1, "x": 0.5, "s": "a"}, {"n": 2, "x": 1.5, "s": "b"}]
    assert plain({"a": (1, np.float64(2.5)), 3: {2, 1}}) == {"a": [1, 2.5], "3": [1, 2]}


def test_a_plan_is_examined_in_another_session_with_its_views(lab: Lab) -> None:
    import base64

    import pyspark.sql.connect.proto as proto
    from pyspark.sql.connect.session import SparkSession

    lab.spark.range(5).createOrReplaceTempView("five")
    lab.spark.sql("CREATE OR REPLACE TEMP VIEW doubled AS SELECT 2 * id AS n FROM five")
    step = registry.step("1a.3")
    evidence = capture(step, {"tuned": lab.spark.table("doubled")}, lab)
    server = session.connection().server
    assert server is not None
    other = SparkSession.builder.remote(server.remote).create()
    for view in evidence.views:
        other.client.execute_command(proto.Command.FromString(base64.b64decode(view)))
    frame = Observer(step, evidence, lab).frame("tuned")
    elsewhere = type(frame)(frame._plan, other)
    assert [row.n for row in elsewhere.collect()] == [0, 2, 4, 6, 8]
    other.stop()


def test_a_check_changes_nothing_that_it_checks_and_keeps_stderr_clean(tmp_path: Path) -> None:
    code = (
        "import json\nfrom labs_lib import check, open_lab\nlab = open_lab('01_optimization')\nspark = lab.spark\n"
        "spark.range(9).write.saveAsTable('sales_retention')\n"
        "def state():\n    return [sorted(p.name for p in lab.path('sales_retention').rglob('*')),"
        " spark.conf.get('spark.sql.autoBroadcastJoinThreshold'), [r.tableName for r in spark.sql('SHOW TABLES').collect()]]\n"
        "dry_run, oldest_readable, tuned = {'files': 1}, 0, spark.range(3)\nnames = set(globals())\nbefore = state()\n"
        "check('1b.5'); check('1a.3'); check('1a.5')\nassert state() == before and set(globals()) == names | {'names', 'before'}\n"
    )
    environment = os.environ | {"LABS_WORKSPACE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "✘ 1b.5 Retention: " in done.stdout or "◐ 1b.5 Retention: " in done.stdout
    assert "expected:" in done.stdout and "3 hints; the first:" in done.stdout
    kept = load(tmp_path)
    assert {name: state["status"] for name, state in kept.items()} == {
        "1a.3": "fail",
        "1a.5": "unanswered",
        "1b.5": kept["1b.5"]["status"],
    }
    shown = subprocess.run(
        [sys.executable, "-m", "labs_lib.cli", "progress", "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert "1a  · · ✘ · ○  0 of 11 points  Performance tuning" in shown.stdout
    assert "03_cicd: CI/CD  (not yet written)" in shown.stdout


def test_progress_in_a_notebook_is_of_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "progress.json").write_text(
        '{"1a.1": {"status": "pass", "points": 2}, "2a.1": {"status": "pass", "points": 3}}'
    )
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path))
    assert progress().solved == 2
    mine = progress("02_patterns")
    assert mine.solved == 1 and "2a  ✔ · · · ·  3 of" in repr(mine) and "01_optimization" not in repr(mine)
    with pytest.raises(LabsError, match="02_patterns"):
        progress("02_pattern")


def test_a_damaged_progress_file_is_set_aside_and_not_lost(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text('{"1a.1": {"status"')
    assert load(tmp_path) == {}
    assert (tmp_path / "progress.damaged").read_text() == '{"1a.1": {"status"'


def test_a_card_escapes_what_comes_from_the_learner() -> None:
    finding = Finding("keys", False, "a list", "<script>alert(1)</script>")
    page = cards.html(settle("1a.2", "t", 2, [finding], ("First.", "Second.")))
    assert "<script>" not in page and "&lt;script&gt;" in page
    # One level at a time: the second hint is inside the first.
    assert page.index("First.") < page.index("Hint 2 of 2") < page.index("Second.") < page.index("</details>")


@pytest.mark.parametrize(
    ("stages", "admitted"),
    [
        (
            [{"stage": 7, "shuffle_bytes": 9, "run_time": 5, "more": "x"}],
            [{"stage": 7, "shuffle_bytes": 9, "run_time": 5}],
        ),
        ([{"stage": 7, "shuffle_bytes": True, "run_time": 5}], []),
        ([{"stage": -1, "shuffle_bytes": 9, "run_time": 5}], []),
        ([{"stage": 7, "shuffle_bytes": 9}], []),
        ([{"stage": 7, "shuffle_bytes": 9, "run_time": 5}] * 501, []),
        ("many", []),
        (None, []),
    ],
)
def test_a_given_run_is_the_solutions_with_the_stages_of_the_learners(
    stages: Any, admitted: list[dict[str, int]], tmp_path: Path
) -> None:
    step = registry.step("1a.1")
    solution = {"tag": "t", "label": "slow", "plan": "the solution's", "stages": run_of((1, 1))}
    given = Evidence(step.id, 7, {"slow_run": solution, "slow_stage": {}})
    learners = {"tag": "u", "label": "v", "plan": "the learner's", "stages": stages}
    Evidence(step.id, 7, {"slow_run": learners, "slow_stage": {"stage": 1}}).save(tmp_path)
    answers = admit(step, tmp_path / "1a.1.json", 7, given).answers
    assert answers == {"slow_run": solution | {"stages": admitted}, "slow_stage": {"stage": 1}}


def run_of(*figures: tuple[int, int]) -> list[dict[str, int]]:
    """Stages by the bytes that they read from shuffles and their milliseconds, numbered from 40."""
    return [
        {"stage": number, "shuffle_bytes": shuffle_bytes, "run_time": run_time}
        for number, (shuffle_bytes, run_time) in enumerate(figures, 40)
    ]


QUERY = run_of((0, 120), (13_000_000, 160), (20_000_000, 620), (9_000, 100))  # what the judge sees
COLD = run_of((0, 720), (13_000_000, 160), (20_000_000, 620), (9_000, 100))  # and where its disk is slow


@pytest.mark.parametrize(
    ("own", "answer", "points"),
    [
        (run_of((0, 90), (13_000_000, 200), (20_100_000, 210)), (42, 20_100_000, 0.42), 2),
        (run_of((0, 90), (13_000_000, 300), (20_000_000, 210)), (41, 13_000_000, 0.5), 2),
        (run_of((0, 90), (13_000_000, 300), (20_000_000, 210)), (42, 20_000_000, 0.35), 1),
        (run_of((0, 80), (13_000_000, 100), (20_000_000, 220)), (42, 20_000_000, 55.0), 1.5),
        (run_of((0, 600), (13_000_000, 200), (30_000_000, 200)), (40, 0, 0.6), 0),
        (run_of((0, 600)), (40, 0, 1.0), 0),
        (run_of((1, 600)), (40, 1, 1.0), 0),
        ([], (1, 1, 0.9), 0),
        (run_of((0, 600), (13_000_000, 200), (20_000_000, 200)), (40, 0, 0.6), 0),
        (run_of((0, 90), (13_000_000, 200), (20_000_000, 210), (0, 10**9)), (43, 0, 1.0), 0),
    ],
    ids=[
        "as in the judge's run",
        "the other join was slower here",
        "not the slowest of the own run",
        "a percentage",
        "figures of another query",
        "figures without shuffles",
        "figures out of nowhere",
        "no figures",
        "a scan that was slow in no run of the judge's",
        "a stage more that took longest",
    ],
)
def test_a_judge_who_runs_the_query_again_goes_by_the_own_runs_times_if_its_shuffles_are_the_querys(
    own: list[dict[str, int]], answer: tuple[int, int, float], points: float
) -> None:
    step = registry.step("1a.1")
    answers = {
        "slow_run": {"stages": own},
        "slow_stage": dict(zip(("stage", "shuffle_bytes", "share"), answer, strict=True)),
    }
    observed = {"same_run": False, "stages": QUERY}
    assert judge(step, Evidence(step.id, 0, answers, observed=observed), None).points == points


def test_a_scan_that_a_cold_disk_made_slowest_counts_where_the_judges_run_bears_it_out() -> None:
    step = registry.step("1a.1")
    own = run_of((0, 600), (13_000_000, 200), (20_000_000, 200))
    answers = {
        "slow_run": {"stages": own},
        "slow_stage": {"stage": 40, "shuffle_bytes": 0, "share": 0.6},
    }
    observed = {"same_run": False, "stages": COLD}
    assert judge(step, Evidence(step.id, 0, answers, observed=observed), None).points == 2
