"""Workflows that really run, and tickets that really go through: slow, so in the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labs_lib.cicd import workflows
from labs_lib.cicd.local import Here, here
from labs_lib.cicd.practice import FAULTS, PRACTICE, ROOT, repository, with_fault
from labs_lib.cicd.relay import WorkspaceRelay
from labs_lib.cicd.story import code, deployed, lay, play, release, tickets
from labs_lib.cicd.workflows import Event, Run
from labs_lib.errors import LabsError
from labs_lib.workspace.trial import trial

pytestmark = pytest.mark.ledger

SECRET = "dapi0123456789abcdef0123456789abcdef"
HEAD = "on: push\npermissions: {}\njobs:\n"
DEPLOYS = (
    HEAD
    + """\
  deploy:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8
      - run: python deploy.py prod
        env: {DATABRICKS_HOST: "${{ vars.DATABRICKS_HOST }}", DATABRICKS_TOKEN: "${{ secrets.DATABRICKS_TOKEN }}"}
"""
)


@pytest.fixture
def shop() -> Iterator[Here]:
    with here() as place:
        yield place


def run(shop: Here, text: str, fault: str = "") -> Run:
    """What becomes of a workflow after a push to main of the practice project."""
    files = {f"{workflows.FOLDER}ci.yml": text}
    commits = repository(shop, {**PRACTICE, **files})
    event = Event("push", commits[fault], "refs/heads/main")
    [ran] = workflows.run(
        shop, f"../{ROOT}", files, event, name="run", secret=SECRET, address="http://127.0.0.1:9"
    )
    return ran


def job(steps: str, name: str = "a", more: str = "") -> str:
    return f"  {name}:\n    runs-on: ubuntu-latest\n{more}    steps:\n      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8\n{steps}"


def test_each_job_has_its_result_and_what_is_skipped_has_none(shop: Here) -> None:
    text = (
        HEAD
        + job("      - run: ls src\n")
        + job("      - run: exit 3\n", "b")
        + job("      - run: ls\n", "c", "    needs: b\n")
    )
    ran = run(shop, text)
    assert ran.results == {"a": ["success"], "b": ["failure"]}
    assert ran.jobs == ("a", "b", "c")
    assert not ran.green


def test_a_matrix_has_a_result_for_each_combination(shop: Here) -> None:
    ran = run(
        shop,
        HEAD
        + job(
            "      - run: test ${{ matrix.n }} = 1\n",
            more="    strategy: {fail-fast: false, matrix: {n: [1, 2]}}\n",
        ),
    )
    assert len(ran.results["a"]) == 2 and "failure" in ran.results["a"]  # act tells all of them the same


def test_a_job_sees_the_commit_and_nothing_of_this_machines_user(
    shop: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mine")
    shop.lay("laid", {"untracked.txt": ""})
    ran = run(
        shop,
        HEAD
        + job(
            '      - run: ls; echo "home has $(ls -A ~ | wc -l) of $HOME"; env; echo token=${{ secrets.DATABRICKS_TOKEN }}\n'
        ),
    )
    assert ran.green, ran
    assert "deploy.py" in ran.log and "AWS_SECRET_ACCESS_KEY" not in ran.log
    assert SECRET not in ran.log and "token=***" in ran.log
    assert "run-0/home" in ran.log  # its home


def test_what_act_cannot_run_is_no_success(shop: Here) -> None:
    ran = run(shop, HEAD + "  a:\n    runs-on: macos-latest\n    steps:\n      - run: ls\n")
    assert ran.results == {}
    assert not ran.green


@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_the_practice_project_is_well_without_a_fault_and_red_with_one(shop: Here, fault: str) -> None:
    shop.lay("project", with_fault(PRACTICE, fault) if fault else PRACTICE)
    tests, lint = shop.run(["python", "-m", "pytest"], "project"), shop.run(["ruff", "check", "."], "project")
    assert (tests.well, lint.well) == (fault in ("", "a lint error"), fault != "a lint error"), (tests, lint)


def test_a_deployment_is_seen_in_the_workspace_and_takes_away_what_is_gone() -> None:
    with trial({}) as w:
        secret = lay(w)
        release(w, {**PRACTICE, "src/retail/old.py": "OLD = 1\n"}, "0" * 40)
        with here(WorkspaceRelay(w)) as shop:
            files = {f"{workflows.FOLDER}ci.yml": DEPLOYS}
            commit = repository(shop, {**PRACTICE, **files})[""]
            [ran] = workflows.run(
                shop,
                f"../{ROOT}",
                files,
                Event("push", commit, "refs/heads/main"),
                name="run",
                secret=secret,
                address=shop.address,
            )
        assert ran.green, ran.log
        assert code(deployed(w)) == code(PRACTICE)
        assert commit in deployed(w)["release.json"]


def test_a_deployment_with_another_token_is_refused() -> None:
    with trial({}) as w:
        lay(w)
        with here(WorkspaceRelay(w)) as shop:
            files = {f"{workflows.FOLDER}ci.yml": DEPLOYS}
            commit = repository(shop, {**PRACTICE, **files})[""]
            [ran] = workflows.run(
                shop,
                f"../{ROOT}",
                files,
                Event("push", commit, "refs/heads/main"),
                name="run",
                secret=SECRET,
                address=shop.address,
            )
        assert ran.results == {"deploy": ["failure"]}
        assert deployed(w) == {}


def test_tickets_are_three_kinds_and_of_another_draw_others() -> None:
    for name in map(str, range(20)):
        found, (title, files) = tickets(name)
        assert sorted(ticket.kind for ticket in found) == ["bad", "good", "good", "red"]
        assert len({ticket.branch for ticket in found}) == 4 and title and files
        assert not set(files) & {path for ticket in found for path in ticket.files}
    assert tickets("1") == tickets("1") != tickets("2")


@pytest.mark.parametrize("kind", ["good", "bad", "red"])
def test_tests_pass_on_what_is_good_or_bad_and_fail_on_what_is_red(shop: Here, kind: str) -> None:
    found, (_, others) = tickets("any")
    ticket = next(each for each in found if each.kind == kind)
    shop.lay("project", {**PRACTICE, **others, **ticket.files})
    assert shop.run(["python", "-m", "pytest"], "project").well == (kind != "red")
    assert shop.run(["ruff", "check", "."], "project").well


def test_a_program_that_never_ends_ends_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs_lib.cicd.story.SECONDS", 2)
    files = {
        "delivery.py": "import time\ndef deliver(*_):\n    time.sleep(60)\n",
        f"{workflows.FOLDER}ci.yml": DEPLOYS,
    }
    with pytest.raises(LabsError, match="took longer than 2 s"):
        play(here, files, "any")


def test_production_is_as_it_was_where_nothing_is_delivered() -> None:
    files = {
        "delivery.py": "def deliver(hub, clone, ticket):\n    return hub.production()['status']\n",
        f"{workflows.FOLDER}ci.yml": DEPLOYS,
    }
    told = play(here, files, "any")
    assert [(each.word, each.moves, each.tags, each.error) for each in told] == [("healthy", [], {}, "")] * 4
    assert all(each.prod[0] == each.prod[1] != {} for each in told)
