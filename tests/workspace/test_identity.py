"""Users, groups, service principals and tokens, through the real SDK."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import (
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.iam import PatchSchema

from workspace.conftest import Served

SCHEMA = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]


def test_the_learner_is_an_admin(workspace: Served) -> None:
    me = workspace.client().current_user.me()
    assert me.user_name == "learner@example.com"
    assert me.groups and [group.display for group in me.groups] == ["admins"]


def test_users_are_made_found_changed_and_deleted(workspace: Served) -> None:
    w = workspace.client()
    ana = w.users.create(user_name="ana@example.com", display_name="Ana")
    assert ana.id and ana.active
    with pytest.raises(ResourceAlreadyExists, match=r"ANA@example\.com"):
        w.users.create(user_name="ANA@example.com")
    assert [user.user_name for user in w.users.list(filter='userName eq "ana@example.com"')] == [
        "ana@example.com"
    ]
    w.users.delete(ana.id)
    with pytest.raises(NotFound, match=f"no user with the id '{ana.id}'"):
        w.users.get(ana.id)


def test_only_admins_change(workspace: Served) -> None:
    workspace.client().users.create(user_name="ben@example.com")
    ben = workspace.client("ben@example.com")
    assert ben.current_user.me().user_name == "ben@example.com"
    with pytest.raises(PermissionDenied, match=r"Only an admin creates users; ben@example\.com is none"):
        ben.users.create(user_name="eve@example.com")
