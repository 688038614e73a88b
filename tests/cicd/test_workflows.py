"""When GitHub would start a workflow, and what is read of its file before it runs."""

from __future__ import annotations

import pytest

from labs_lib.cicd.checks import workflow as check
from labs_lib.cicd.workflows import Event, by_schema, read, strange, triggered
from labs_lib.errors import LabsError

COMMIT = "c" * 40
SHA = "08c6903cd8c0fde910a37f88322edcfb5dd907a8"


def push(ref: str) -> Event:
    return Event("push", COMMIT, ref)


PULL = Event("pull_request", COMMIT, head="prices", base="main")
MAIN, BRANCH, TAG = push("refs/heads/main"), push("refs/heads/feature/prices"), push("refs/tags/v1.2.0")


@pytest.mark.parametrize(
    ("on", "starts"),
    [
        ("on: push", [MAIN, BRANCH, TAG]),
        ("on: [push, pull_request]", [MAIN, BRANCH, TAG, PULL]),
        ("on: {push: {branches: [main]}}", [MAIN]),
        ("on: {push: {branches: ['**']}}", [MAIN, BRANCH]),
        ("on: {push: {branches: ['*']}}", [MAIN]),
        ("on: {push: {branches: ['feature/*', '!feature/prices']}}", []),
        ("on: {push: {branches-ignore: [main]}}", [BRANCH]),
        ("on: {push: {tags: ['v*']}}", [TAG]),
        ("on: {push: {tags: ['v[2-9]*']}}", []),
        ("on: {push: {tags-ignore: ['v1.*']}}", []),
        ("on: {push: {branches: [main], tags: ['v1.?.0']}}", [MAIN]),
        ("on: {push: {branches: [main], tags: ['v1.2?.0']}}", [MAIN, TAG]),
        ("on: {pull_request: {branches: [main]}}", [PULL]),
        ("on: {pull_request: {branches: [release]}}", []),
        ("on: {pull_request: {types: [closed]}}", []),
        ("on: {push: {paths: ['src/**']}}", [MAIN, BRANCH, TAG]),
        ("on: {push: {paths: ['docs/**']}}", [TAG]),
        ("on: {push: {paths-ignore: ['**/*.py']}}", [TAG]),
        ("on: {schedule: [{cron: '0 4 * * *'}]}", []),
        ("jobs: {}", []),
    ],
)
def test_an_event_starts_what_names_it(on: str, starts: list[Event]) -> None:
    changed = ["src/retail/prices.py"]
    assert [event for event in (MAIN, BRANCH, TAG, PULL) if triggered(read(on), event, changed)] == starts


def test_what_is_no_workflow_is_told_with_its_line() -> None:
    with pytest.raises(LabsError, match="line 2"):
        read("on: push\njobs: ]\n")
    with pytest.raises(LabsError, match="no workflow"):
        read("- push")
    [said] = by_schema(
        "ci.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    stepz: []\n    steps: [{run: ls}]\n"
    )
    assert said.startswith("ci.yml, line 3: at jobs.a: ")


@pytest.mark.parametrize(
    ("above", "job", "wrong"),
    [
        ("permissions: {contents: read}", "", False),
        ("permissions: {}", "", False),
        ("permissions: {}", "permissions: {contents: read}", False),
        ("", "permissions: {contents: read}", False),
        ("", "", True),
        ("permissions: write-all", "", True),
        ("permissions: read-all", "", True),
        ("permissions: {contents: read}", "permissions: {contents: write}", True),
    ],
)
def test_a_token_may_read_and_no_more(above: str, job: str, wrong: bool) -> None:
    text = (
        f"on: push\n{above}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    {job}\n    steps: [{{run: ls}}]\n"
    )
    assert bool(list(check.permissions("ci.yml", text))) == wrong


@pytest.mark.parametrize(
    ("above", "job", "wrong"),
    [
        ("concurrency: deploy", "", ""),
        ("", "concurrency: {group: prod, cancel-in-progress: false}", ""),
        (
            "concurrency: {group: 'a-${{ github.ref }}', cancel-in-progress: \"${{ github.event_name == 'pull_request' }}\"}",
            "",
            "",
        ),
        ("", "", "nothing keeps two runs"),
        ("concurrency: 'a-${{ github.sha }}'", "", "a group of its own"),
        ("concurrency: {group: a, cancel-in-progress: true}", "", "cut off"),
    ],
)
def test_two_deployments_never_meet(above: str, job: str, wrong: str) -> None:
    step = "steps: [{run: python deploy.py prod, env: {T: '${{ secrets.DATABRICKS_TOKEN }}'}}]"
    text = f"on: push\n{above}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    {job}\n    {step}\n"
    found = check.concurrency({"ci.yml": text})
    assert [wrong in said for said in found] == ([True] if wrong else [])


def test_a_secret_is_read_in_its_environment_alone() -> None:
    job = "jobs:\n  a:\n    environment: {}\n    steps: [{{run: x, env: {{T: '${{{{ secrets.DATABRICKS_TOKEN }}}}'}}}}]\n"
    assert not list(check.outside("ci.yml", job.format("prod")))
    assert not list(check.outside("ci.yml", job.format("{name: prod}")))
    assert list(check.outside("ci.yml", job.format("dev")))
    assert list(check.outside("ci.yml", "env: {T: '${{ secrets.DATABRICKS_TOKEN }}'}\n" + job.format("prod")))


def test_actions_are_pinned_and_known() -> None:
    uses = "jobs:\n  a:\n    runs-on: {}\n    steps:\n      - uses: {}\n"
    assert not list(check.unpinned("ci.yml", uses.format("ubuntu-latest", f"actions/checkout@{SHA}")))
    assert list(check.unpinned("ci.yml", uses.format("ubuntu-latest", "actions/checkout@v5")))
    assert list(check.unpinned("ci.yml", uses.format("ubuntu-latest", f"'actions/checkout@{SHA[:12]}'")))
    assert not list(strange("ci.yml", uses.format("ubuntu-latest", f"actions/checkout@{SHA}")))
    assert list(strange("ci.yml", uses.format("ubuntu-latest", f"somebody/else@{SHA}")))
    assert list(strange("ci.yml", uses.format("windows-latest", f"actions/checkout@{SHA}")))


def test_a_secret_is_found_in_any_form() -> None:
    secret = "dapi0123456789abcdef0123456789abcdef"
    assert check.leaks("a| ***\nb| dapi and nothing else", secret) == []
    for form in (
        secret,
        secret[::-1],
        " ".join(secret),
        secret.encode().hex(),
        "ZGFwaTAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm",
    ):
        assert check.leaks(f"a| {form}\n", secret), form
