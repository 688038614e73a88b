"""Commands over a learner's files: what a judge is told of them, and that what they deploy to is out of their reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labs_lib import registry
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.cicd.checks.workshop import Ran, WorkspaceRelay, opened, service_principal, token_of
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.trial import Trial, trial

ASK = """
import json, os, sys, urllib.request
method, path, body = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
request = urllib.request.Request(os.environ["HOST"] + path, method=method, data=body.encode() or None)
if "TOKEN" in os.environ:
    request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])
try:
    with urllib.request.urlopen(request) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


@pytest.fixture
def observer() -> Observer:
    lab: Any = None
    return Observer(registry.step("3b.1"), Evidence("3b.1", 0), lab)


@pytest.fixture
def w() -> Iterator[Trial]:
    with trial({}) as workspace:
        yield workspace


def test_a_command_gives_its_exit_code_and_what_it_wrote(observer: Observer) -> None:
    with opened(observer) as shop:
        shop.lay(
            "project",
            {"src/one.py": "import sys\nprint(open('two.txt').read())\nsys.exit(3)", "two.txt": "two"},
        )
        ran = shop.run([sys.executable, "src/one.py"], "project")
        assert (ran.code, ran.out, ran.well) == (3, "two\n", False)
        assert shop.read("project/two.txt") == "two"
        assert shop.read("project/three.txt") is None
        assert shop.run(["there-is-no-such-command"]).code == 127


def test_a_command_whose_time_is_up_is_ended_with_what_it_started(observer: Observer, tmp_path: Path) -> None:
    late = tmp_path / "late"
    with opened(observer) as shop:
        ran = shop.run(["sh", "-c", f"(sleep 2; touch {late}) & sleep 60"], seconds=0.5)
        assert ran.code is None
        shop.run(["sleep", "2.5"])
    assert not late.exists()


def test_a_command_sees_a_home_of_its_own_and_nothing_of_this_process(
    observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-mine")
    with opened(observer) as shop:
        told = dict(
            line.partition("=")[::2] for line in shop.run(["env"], environment={"A": "1"}).out.splitlines()
        )
        assert {"HOME", "PATH", "A"} <= told.keys() <= {"HOME", "PATH", "A", "LANG", "PWD", "SHLVL", "_"}
        assert told["HOME"] != str(Path.home())


def test_what_goes_through_the_relay_is_the_workspaces_to_answer(observer: Observer, w: Trial) -> None:
    deployer = service_principal(w, "deployer")
    relay = WorkspaceRelay(w)
    with opened(observer, relay) as shop:
        shop.lay(".", {"ask.py": ASK})

        def ask(method: str, path: str, body: str = "", **environment: str) -> Ran:
            return shop.run(
                [sys.executable, "ask.py", method, path, body],
                environment={"HOST": shop.address, **environment},
            )

        made = '{"path": "/Shared/retail"}'
        path = "/api/2.0/workspace/mkdirs"
        assert ask("POST", path, made).out.startswith("401")
        assert ask("POST", path, made, TOKEN="dapi-guessed").out.startswith("403")
        assert "needs CAN_EDIT" in ask("POST", path, made, TOKEN=token_of(w, deployer)).out
        assert ask("POST", path, made, TOKEN=token_of(w, LEARNER)).out.startswith("200")
        found = ask("GET", "/api/2.0/workspace/list?path=/Shared", TOKEN=token_of(w, LEARNER)).out
        assert found.count("/Shared/retail") == 1
    assert [each.status for each in relay.asked] == [401, 403, 403, 200, 200]
    there = w.ask("GET", "/api/2.0/workspace/list", path="/Shared")["objects"]
    assert [each["path"] for each in there] == ["/Shared/retail"]


def test_the_workspace_goes_on_between_requests_if_it_is_told_to(observer: Observer, w: Trial) -> None:
    def later(workspace: Trial) -> None:
        workspace.moment += 60_000

    with opened(observer, WorkspaceRelay(w, later)) as shop:
        shop.lay(".", {"ask.py": ASK})
        before = w.moment
        shop.run(
            [sys.executable, "ask.py", "GET", "/.well-known/databricks-config"],
            environment={"HOST": shop.address},
        )
    assert w.moment == before + 60_000


def test_a_body_that_is_too_large_is_refused(observer: Observer, w: Trial) -> None:
    big = "import os, urllib.request\nprint('start')\nr = urllib.request.Request(os.environ['HOST'] + '/api', data=b'x' * 700_000)\ntry:\n    urllib.request.urlopen(r)\nexcept urllib.error.HTTPError as error:\n    print(error.code)\nexcept OSError as error:\n    print(413)\n"
    relay = WorkspaceRelay(w)
    with opened(observer, relay) as shop:
        shop.lay(".", {"big.py": big})
        assert shop.run([sys.executable, "big.py"], environment={"HOST": shop.address}).out == "start\n413\n"
    assert relay.asked == []
