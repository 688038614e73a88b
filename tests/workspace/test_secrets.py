"""Secret scopes, through the real SDK: who may what, and that a value is nowhere but where it was asked for."""

from __future__ import annotations

import base64
import stat

import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.workspace import AclPermission

from labs_lib.workspace import secrets
from tests.workspace.conftest import Served

PLANTED = "s3cr3t-planted-value"


@pytest.fixture
def team(workspace: Served) -> Served:
    """A workspace with ana, ben and eve, and a scope of ana's with one secret."""
    for name in ("ana", "ben", "eve"):
        workspace.client().users.create(user_name=f"{name}@example.com")
    ana = workspace.client("ana@example.com").secrets
    ana.create_scope("mail")
    ana.put_secret("mail", "password", string_value=PLANTED)
    return workspace


def value(workspace: Served, user: str | None) -> str:
    return base64.b64decode(str(workspace.client(user).secrets.get_secret("mail", "password").value)).decode()


def test_values_come_back_in_base64_to_who_may_read(team: Served) -> None:
    assert value(team, "ana@example.com") == PLANTED
    assert value(team, None) == PLANTED  # admins manage every scope
    ana = team.client("ana@example.com").secrets
    ana.put_secret("mail", "bytes", bytes_value=base64.b64encode(b"\xff\x00").decode())
    assert base64.b64decode(str(ana.get_secret("mail", "bytes").value)) == b"\xff\x00"
    assert [secret.key for secret in ana.list_secrets("mail")] == ["bytes", "password"]
    assert all(secret.last_updated_timestamp for secret in ana.list_secrets("mail"))


# What each permission allows, by the published table.
CALLS = {
    "get": ("READ", lambda s, scope: s.get_secret(scope, "password")),
    "list": ("READ", lambda s, scope: s.list_secrets(scope)),
    "put": ("WRITE", lambda s, scope: s.put_secret(scope, "new", string_value="1")),
    "delete": ("WRITE", lambda s, scope: s.delete_secret(scope, "password")),
    "acls": ("MANAGE", lambda s, scope: s.list_acls(scope)),
    "acl": ("MANAGE", lambda s, scope: s.get_acl(scope, "ana@example.com")),
    "put acl": ("MANAGE", lambda s, scope: s.put_acl(scope, "eve@example.com", AclPermission.READ)),
    "delete acl": ("MANAGE", lambda s, scope: s.delete_acl(scope, "ana@example.com")),
    "delete scope": ("MANAGE", lambda s, scope: s.delete_scope(scope)),
}


def test_matrix_of_permissions_and_calls(team: Served) -> None:
    ana, ben = (team.client(f"{name}@example.com").secrets for name in ("ana", "ben"))
    order = [None, "READ", "WRITE", "MANAGE"]
    for call, (needed, do) in CALLS.items():
        for held in order:
            scope = f"{call.replace(' ', '-')}-{held}"
            ana.create_scope(scope)
            ana.put_secret(scope, "password", string_value=PLANTED)
            if held:
                ana.put_acl(scope, "ben@example.com", AclPermission(held))
            if order.index(held) >= order.index(needed):
                do(ben, scope)
                continue
            with pytest.raises(
                PermissionDenied, match=rf"ben@example\.com does not have {needed} permission"
            ) as refused:
                do(ben, scope)
            assert PLANTED not in str(refused.value)


def test_the_strongest_permission_counts_by_name_or_by_group() -> None:
    acls = {"ben": "READ", "writers": "WRITE", "all": "MANAGE"}
    for groups, expected in [(set(), "READ"), ({"writers"}, "WRITE"), ({"writers", "all"}, "MANAGE")]:
        assert secrets.held(acls, "ben", frozenset(groups)) == expected
    assert secrets.held(acls, "eve", frozenset()) is None


def test_a_scope_for_everybody(team: Served) -> None:
    team.client("ana@example.com").secrets.create_scope("open", initial_manage_principal="users")
    team.client("eve@example.com").secrets.put_secret("open", "k", string_value="1")
    with pytest.raises(InvalidParameterValue):
        team.client("ana@example.com").secrets.create_scope("other", initial_manage_principal="writers")


def test_refusals(team: Served) -> None:
    ana = team.client("ana@example.com").secrets
    for error, call in [
        (ResourceAlreadyExists, lambda: ana.create_scope("mail")),
        (NotFound, lambda: ana.get_secret("mail", "other")),
        (NotFound, lambda: ana.get_secret("other", "password")),
        (NotFound, lambda: ana.delete_secret("mail", "other")),
        (NotFound, lambda: ana.get_acl("mail", "ben@example.com")),
        (InvalidParameterValue, lambda: ana.put_acl("mail", "nobody@example.com", AclPermission.READ)),
        (InvalidParameterValue, lambda: ana.create_scope("no spaces")),
        (InvalidParameterValue, lambda: ana.create_scope("x" * 129)),
        (InvalidParameterValue, lambda: ana.put_secret("mail", "k'", string_value="1")),
        (InvalidParameterValue, lambda: ana.put_secret("mail", "k", string_value="x" * (128 * 1024 + 1))),
        (BadRequest, lambda: ana.put_secret("mail", "k")),
        (BadRequest, lambda: ana.put_secret("mail", "k", bytes_value="not base64!")),
    ]:
        with pytest.raises(error):
            call()


def test_a_value_is_nowhere_in_clear(team: Served) -> None:
    value(team, None)
    with pytest.raises(InvalidParameterValue):  # a refusal of a value too
        team.client().secrets.put_secret("mail", "no key", string_value=PLANTED)
    state = team.http.get("/api/labs/state").text
    assert '"password"' in state and PLANTED not in state
    files = [path for path in team.home.rglob("*") if path.is_file()]
    assert {"workspace.db", "workspace.db-wal", "vault.key"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        assert PLANTED.encode() not in data and base64.b64encode(PLANTED.encode()) not in data, path
    assert stat.S_IMODE((team.home / "vault.key").stat().st_mode) == 0o600


def test_scopes_travel_as_state_without_values(team: Served) -> None:
    state = {"secrets": team.http.get("/api/labs/state").json()["secrets"]}
    team.client().secrets.create_scope("more")
    state["secrets"]["scopes"][0]["keys"].append("fresh")
    answer = team.http.put("/api/labs/state", json=state)
    assert answer.status_code == 200, answer.text
    w = team.client("ana@example.com").secrets
    assert [scope.name for scope in w.list_scopes()] == ["mail"]
    assert value(team, "ana@example.com") == PLANTED
    assert w.get_secret("mail", "fresh").value in ("", None)
    for damage in ({"keys": ["a b"]}, {"acls": {"ana@example.com": "OWN"}}, {"more": 1}, {"name": None}):
        broken = {"secrets": {"scopes": [state["secrets"]["scopes"][0] | damage]}}
        assert team.http.put("/api/labs/state", json=broken).status_code == 400, damage
    assert value(team, "ana@example.com") == PLANTED
