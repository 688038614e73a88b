"""Steps 3b.3 and 3b.4 without their commands: what a judge draws, what a workspace's targets have, and how a run in it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labs_lib.cicd.bundle import deploying, resolving
from labs_lib.cicd.checks.direct import Direct
from labs_lib.cicd.checks.release import Runs, as_released, changed, has, judge_3b_4, laid, releases
from labs_lib.cicd.checks.terraform import differing, facts, why
from labs_lib.cicd.command_line import tidy
from labs_lib.cicd.releases import RELEASED, lay_releases
from labs_lib.cicd.shell import Ran
from labs_lib.cicd.teams import teams, tomorrow
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.trial import Trial, trial


@pytest.fixture
def w() -> Iterator[Trial]:
    with trial({}) as workspace:
        yield workspace


def test_a_target_has_a_release_or_not(w: Trial) -> None:
    one, two = (changed(RELEASED, name, 3) for name in ("one", "two"))
    assert one != two
    laid(w, one, "dev")
    laid(w, one, "prod")
    assert as_released(has(w, "prod"), one, "prod")
    before = has(w, "prod")
    laid(w, two, "dev")
    assert as_released(has(w, "dev"), two, "dev")
    assert not as_released(has(w, "dev"), one, "dev")
    assert has(w, "prod") == before


def test_only_the_job_smoke_fails_and_only_where_the_release_says_so(w: Trial) -> None:
    laid(w, RELEASED, "dev")
    runs, direct = Runs(w), Direct(w, LEARNER)
    resolved = resolving.resolve(resolving.load(RELEASED), "dev", LEARNER)

    def succeeds(job: str, smoke: bool) -> bool:
        runs.smoke = smoke
        asked = direct.ask

        class Going(Direct):
            def ask(self, *words: Any) -> Any:
                runs.go_on(w)
                return asked(*words)

        return deploying.run(Going(w, LEARNER), resolved, job, lambda said: None)

    assert succeeds("smoke", True)
    assert not succeeds("smoke", False)
    assert succeeds("daily", False)
    assert runs.ended[0] == "[dev learner] corner-shop smoke"


def test_a_smoke_run_counts_only_before_prod_is_touched(w: Trial) -> None:
    laid(w, RELEASED, "dev")
    resolved = resolving.resolve(resolving.load(RELEASED), "dev", LEARNER)
    runs = Runs(w)
    runs.prod = has(w, "prod")
    job = deploying.state_of(Direct(w, LEARNER), resolved).resources["jobs.smoke"]
    for touched in (False, True):
        if touched:
            laid(w, RELEASED, "prod")
        w.ask("POST", "/api/2.2/jobs/run-now", job_id=int(job))
        for _ in range(4):
            runs.go_on(w)
        assert runs.early is not touched


@pytest.mark.parametrize("seed", range(6))
def test_the_bundle_of_a_bad_release_is_valid_for_dev_and_not_for_prod(seed: int) -> None:
    told = {each.name: each for each in releases(RELEASED, "x", seed)}
    assert list(told) == ["red", "invalid", "smoke", "good", "again"]
    for name, each in told.items():
        bundle = resolving.load(each.files)
        resolving.resolve(bundle, "dev", LEARNER)
        if name == "invalid":
            with pytest.raises(resolving.BundleError):
                resolving.resolve(bundle, "prod", LEARNER)
        else:
            resolving.resolve(bundle, "prod", LEARNER)
    assert told["again"].files == told["good"].files


@pytest.mark.parametrize("seed", range(4))
def test_the_tests_of_a_red_release_fail_and_those_of_the_others_pass(seed: int, tmp_path: Any) -> None:
    for each in releases(RELEASED, "x", seed):
        if each.name in ("red", "good"):
            for path, text in each.files.items():
                (tmp_path / each.name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / each.name / path).write_text(text)
            code = subprocess.run(
                [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path / each.name, capture_output=True
            ).returncode
            assert code == (1 if each.name == "red" else 0), (each.name, code)


def test_each_thing_that_a_release_left_wrong_has_a_sentence() -> None:
    sound = {
        "failed": True,
        "code": 1,
        "said": "x",
        "dev": "before",
        "prod": "before",
        "ran": True,
        "touched": [],
    }
    good = {**sound, "failed": False, "code": 0, "dev": "new", "prod": "new"}
    observed = {
        "lost": "",
        "red": sound,
        "invalid": sound,
        "smoke": {**sound, "dev": "new"},
        "good": good,
        "again": good,
    }

    def wrong(**other: Any) -> list[str]:
        evidence: Any = SimpleNamespace(observed={**observed, **other})
        return [f"{each.name}: {each.found}" for each in judge_3b_4(evidence) if not each.ok]

    assert wrong() == []
    assert wrong(red={**sound, "dev": "new"}) == ["a red test: dev has the release"]
    assert wrong(smoke=good) == ["the smoke job fails: it ended with 0 (x); prod has the release"]
    assert wrong(good={**good, "ran": False}) == [
        "a good release: the job smoke didn't run in dev before prod was touched"
    ]
    assert wrong(again={**good, "touched": ["/api/2.2/jobs/reset"]}) == [
        "the same once more: asked for /api/2.2/jobs/reset"
    ]
    assert wrong(lost="there is no release.py") == ["the release command: there is no release.py"]


def test_teams_come_and_go() -> None:
    for seed in range(20):
        today = teams(seed)
        later = tomorrow(seed, "", today)
        assert len(today) == len(later) == 3
        assert set(later) - set(today) == {list(later)[-1]}
        assert list(today) == sorted(today)
        assert sorted(later) == list(later), "the places in a list of names move"


def test_what_is_not_as_it_was_is_named() -> None:
    before = facts({"pool": {"a": {"instance_pool_id": "1", "idle": 5}, "b": {"idle": 5}}})
    assert (
        differing(before, facts({"pool": {"a": {"instance_pool_id": "2", "idle": 5}, "b": {"idle": 5}}}))
        is None
    )
    assert (
        differing(before, facts({"pool": {"a": {"idle": 6}, "b": {"idle": 5}}}))
        == "the pool a is not as it was"
    )
    assert differing(before, facts({"pool": {"a": {"idle": 5}}})) == "the pool b is gone"
    assert (
        differing(before, facts({"pool": {name: {"idle": 5} for name in "abc"}})) == "there is a pool c more"
    )


def test_terraforms_error_is_told_in_a_line() -> None:
    err = "╷\n│ Error: Unsupported argument\n│ \n│   on main.tf line 3:\n│ No such argument is expected.\n╵\n"
    assert why(Ran(1, "", err)).startswith("Error: Unsupported argument No such argument is expected.")
    assert why(Ran(None, "", "")) == "its time was up"


def test_what_differs_in_every_run_is_not_printed() -> None:
    assert tidy("x: Creation complete after 0s [id=pool-001000]") == "x: Creation complete after …s [id=…]"
    assert tidy('  id   = "1001"') == '  id   = "…"'
    assert tidy('policy_id = "00000000000003E8"') == 'policy_id = "…"'


def test_the_project_to_release_is_laid_as_it_was(tmp_path: Any) -> None:
    folder = lay_releases(tmp_path / "shop")
    (folder / "databricks.yml").write_text("broken")
    lay_releases(folder)
    assert (folder / "databricks.yml").read_text() == RELEASED["databricks.yml"]
