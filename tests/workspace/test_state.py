"""State as data: what was declared comes out, goes into another workspace, and is refused as a whole if anything in it is wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.service.iam import ComplexValue

from workspace.conftest import Served, serve

PATH = "/api/labs/state"


@pytest.fixture
def state(workspace: Served) -> dict[str, Any]:
    """What a workspace with two users, a service principal and nested groups exports."""
    w = workspace.client()
    ana, ben = (w.users.create(user_name=f"{name}@example.com", display_name=name) for name in ("ana", "ben"))
    robot = w.service_principals.create(display_name="robot")
    inner = w.groups.create(
        display_name="inner", members=[ComplexValue(value=each.id) for each in (ana, robot)]
    )
    w.groups.create(display_name="outer", members=[ComplexValue(value=each.id) for each in (inner, ben)])
    w.users.update(ben.id or "", user_name="ben@example.com", display_name="ben", active=False)
    exported: dict[str, Any] = workspace.http.get(PATH).json()
    return exported


def test_what_was_exported_is_the_same_in_another_workspace(
    workspace: Served, state: dict[str, Any], tmp_path: Path
) -> None:
    for other in serve(tmp_path / "other"):
        answer = other.http.put(PATH, json=state)
        assert answer.status_code == 200, answer.text
        assert other.http.get(PATH).json() == state
        assert other.http.put(PATH, json=state).status_code == 200, "loading is no adding"
        assert other.http.get(PATH).json() == state
        assert not next(iter(other.client().users.list(filter='userName eq "ben@example.com"'))).active
        ids = {user.id for user in other.client().users.list()}
        assert other.client().users.create(user_name="eve@example.com").id not in ids
        assert len({user.id for user in other.client().users.list()}) == len(ids) + 1
        assert other.client().current_user.me().user_name == "learner@example.com"


def test_a_person_can_write_it_without_ids(workspace: Served) -> None:
    told = {
        "identity": {
            "users": [{"userName": "ana@example.com"}],
            "groups": [
                {"displayName": "outer", "members": [{"value": "inner"}]},
                {"displayName": "inner", "members": [{"value": "ana@example.com"}]},
            ],
        }
    }
    assert workspace.http.put(PATH, json=told).json() == {"loaded": ["identity"]}
    assert workspace.client("ana@example.com").current_user.me().user_name == "ana@example.com"
    outer = next(iter(workspace.client().groups.list(filter='displayName eq "outer"')))
    assert [member.display for member in outer.members or []] == ["inner"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("catalogues", {}, "section 'catalogues'; it may have identity, "),
        ("identity", [], "section 'identity' is a list"),
        ("identity.people", [], "people is []: extra inputs are not permitted"),
        ("identity.users.0.password", "x", "users.0.password is 'x': extra inputs are not permitted"),
        ("identity.users.0.userName", "o'hara@example.com", "users.0.userName is"),
        ("identity.users.0.displayName", "line\nbreak", "users.0.displayName is"),
        ("identity.users.0.displayName", "x" * 1000, "at most 255 characters"),
        ("identity.users.0.displayName", 'say "hi"', "users.0.displayName is"),
        ("identity.users.1.id", "x", "an id is a number"),
        ("identity.users.1.id", "1000", "which another principal has"),
        ("identity.users.1.userName", "learner@example.com", "names one of them twice"),
        ("identity.groups.2.members", [{"value": "outer"}], "is, or holds, the group itself"),
        ("identity.groups.2.members", [{"value": "inner"}], "is, or holds, the group itself"),
        ("identity.groups.2.members", [{"value": "zoe@example.com"}], "which the state doesn't hold"),
        ("identity.groups.0.members", [{"value": "ana@example.com"}], "has to stay an active user in the group 'admins'"),
        ("identity.users.0.active", False, "has to stay an active user in the group 'admins'"),
        ("identity.users", [{"userName": f"u{number}@example.com"} for number in range(2001)], "at most 2000 items"),
        ("permissions.grants", [{"object_type": "spoons", "object_id": "1", "user_name": "ana@example.com", "permission_level": "CAN_USE"}],
         "no permissions on 'spoons'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_changed(
    path: str, value: object, says: str, workspace: Served, state: dict[str, Any]
) -> None:
    wrong = copy.deepcopy(state)
    *way, last = path.split(".")
    place: Any = wrong
    for name in way:
        place = place[int(name)] if name.isdecimal() else place[name]
    place[last] = value
    wrong["identity"] = (
        {"service_principals": [], **wrong["identity"]} if isinstance(wrong["identity"], dict) else []
    )
    answer = workspace.http.put(PATH, json=wrong)
    assert answer.status_code == 400 and says in answer.json()["message"], answer.text
    assert workspace.http.get(PATH).json() == state


def test_state_is_the_admins(workspace: Served, state: dict[str, Any]) -> None:
    as_ana = {"Authorization": f"Bearer {workspace.token_for('ana@example.com')}"}
    for answer in (
        workspace.http.get(PATH, headers=as_ana),
        workspace.http.put(PATH, json=state, headers=as_ana),
    ):
        assert answer.status_code == 403 and "Only an admin" in answer.json()["message"]
