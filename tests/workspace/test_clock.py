"""The workspace's time, and what becomes due by it, moment by moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from labs_lib.workspace import app
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from workspace.conftest import Served, serve

CLOCK = "/api/labs/clock"
HOUR = 60 * 60 * 1000


class At(Model):
    moment: int


def _wait(ctx: Context, wanted: At) -> None:
    store.put(ctx.db, "bell", str(store.next_id(ctx.db, "bell")), {"due": wanted.moment})


def _rung(ctx: Context, _: Model) -> dict[str, list[int]]:
    return {"rung": [body["at"] for _, body in store.every(ctx.db, "rung")]}


def _due(ctx: Context) -> int | None:
    return min((body["due"] for _, body in store.every(ctx.db, "bell")), default=None)


def _tick(ctx: Context) -> None:
    """Ring what is due; a bell rings again an hour later, three times."""
    for id, body in store.every(ctx.db, "bell"):
        if body["due"] <= ctx.now:
            store.remove(ctx.db, "bell", id)
            store.put(ctx.db, "rung", str(store.next_id(ctx.db, "rung")), {"at": ctx.now})
            if body.get("times", 0) < 2:
                again = {"due": body["due"] + HOUR, "times": body.get("times", 0) + 1}
                store.put(ctx.db, "bell", str(store.next_id(ctx.db, "bell")), again)


BELLS = SimpleNamespace(
    SCHEMA="",
    __name__="bells",
    due=_due,
    tick=_tick,
    ENDPOINTS=(
        Endpoint("POST", "/api/2.0/bells/wait", _wait, At),
        Endpoint("GET", "/api/2.0/bells/rung", _rung),
    ),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A workspace with bells."""
    monkeypatch.setattr(app, "SERVICES", (*app.SERVICES, BELLS))
    yield from serve(tmp_path / "workspace")


def now(workspace: Served) -> int:
    return int(workspace.http.get(CLOCK).json()["now"])


def test_the_clock_is_the_machines_until_it_is_moved_and_goes_on_from_there(workspace: Served) -> None:
    before = time.time_ns() // 1_000_000
    assert before <= now(workspace) <= time.time_ns() // 1_000_000
    assert now(workspace) + 30 * 24 * HOUR <= workspace.advance(30 * 24 * 60 * 60) <= now(workspace)
    to = now(workspace) + HOUR
    assert to <= workspace.http.post(CLOCK, json={"set": to}).json()["now"] <= now(workspace)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"advance": -1}, "advance is -1.0; it has to be"),
        ({"advance": 1e300}, "it has to be a number of seconds"),
        ({"advance": "soon"}, "advance is 'soon'"),
        ({"set": 0}, "The clock can't go back"),
        ({"set": 10**40}, "ends with the year 2099"),
        ({}, "Give either advance"),
        ({"advance": 1, "set": 10**13}, "Give either advance"),
        ({"forward": 1}, "forward is 1: extra inputs are not permitted"),
    ],
)
def test_a_move_that_is_none_is_refused(body: dict[str, object], says: str, workspace: Served) -> None:
    before = now(workspace)
    answer = workspace.http.post(CLOCK, json=body)
    assert answer.status_code == 400 and says in answer.json()["message"]
    assert now(workspace) - before < HOUR


def test_only_admins_move_it(workspace: Served) -> None:
    workspace.client().users.create(user_name="ben@example.com")
    as_ben = {"Authorization": f"Bearer {workspace.token_for('ben@example.com')}"}
    assert workspace.http.post(CLOCK, json={"advance": 1}, headers=as_ben).status_code == 403
    assert workspace.http.get(CLOCK, headers=as_ben).status_code == 200


def test_a_move_stops_at_each_moment_at_which_something_is_due(workspace: Served) -> None:
    start = now(workspace)
    first, second = start + HOUR, start + HOUR + HOUR // 2
    for moment in (second, first):
        workspace.http.post("/api/2.0/bells/wait", json={"moment": moment})
    workspace.advance(30 * 24 * 60 * 60)
    rung = workspace.http.get("/api/2.0/bells/rung").json()["rung"]
    assert rung == [moment + hour * HOUR for hour in range(3) for moment in (first, second)]


def test_the_clock_and_what_was_due_outlive_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SERVICES", (*app.SERVICES, BELLS))
    for workspace in serve(tmp_path / "workspace"):
        moved = workspace.advance(1000 * 24 * 60 * 60)
        workspace.http.post("/api/2.0/bells/wait", json={"moment": moved + 1})
    for workspace in serve(tmp_path / "workspace"):
        assert now(workspace) >= moved
        assert workspace.http.get("/api/2.0/bells/rung").json()["rung"] == [moved + 1]


def test_a_service_that_fails_at_what_is_due_is_not_everybodys_fault(tmp_path: Path) -> None:
    def fail(ctx: Context) -> None:
        store.put(ctx.db, "half", "1", {})
        raise ZeroDivisionError

    broken = SimpleNamespace(SCHEMA="", ENDPOINTS=(), __name__="broken", due=lambda ctx: 1, tick=fail)
    workspace = Workspace(tmp_path, (broken, BELLS))  # type: ignore[arg-type]
    with workspace.transaction() as ctx:
        _wait(ctx, At(moment=1))
    workspace.settle()
    with workspace.transaction() as ctx:
        assert _rung(ctx, Model())["rung"] and store.get(ctx.db, "half", "1") is None
    workspace.stop()
