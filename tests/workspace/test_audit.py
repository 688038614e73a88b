"""The audit log: a row for each act, in the transaction that it speaks of, and no secret in any."""

from __future__ import annotations

import json

import pytest
from databricks.sdk.errors import PermissionDenied, ResourceAlreadyExists

from workspace.conftest import Served, client_of


def test_an_act_and_a_refusal_have_their_rows(workspace: Served) -> None:
    w = workspace.client()
    w.groups.create(display_name="team")
    with pytest.raises(ResourceAlreadyExists):
        w.groups.create(display_name="team")
    made, refused = workspace.audit_rows("createGroup")
    assert (made["service_name"], made["user_name"], made["status_code"], made["error_message"]) == (
        *("accounts", "learner@example.com", 200),
        None,
    )
    assert json.loads(made["request_params"]) == {"displayName": "team"}
    assert made["source_ip_address"] == "127.0.0.1" and "databricks-sdk-py" in made["user_agent"]
    assert refused["status_code"] == 400 and "a group 'team' already" in refused["error_message"]
    assert made["event_id"] != refused["event_id"] and made["request_id"] != refused["request_id"]


def test_a_token_that_is_refused_has_its_row_with_its_owner(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name="ben@example.com")
    made = workspace.client("ben@example.com").tokens.create()
    assert made.token_value and made.token_info and made.token_info.token_id
    w.token_management.delete(made.token_info.token_id)
    with pytest.raises(PermissionDenied):
        client_of(workspace.address, made.token_value).current_user.me()
    with pytest.raises(PermissionDenied):
        client_of(workspace.address, "dapi-unknown").current_user.me()
    rows = [(row["user_name"], row["status_code"]) for row in workspace.audit_rows("tokenLogin")]
    assert rows == [("ben@example.com", 403), (None, 403)]


def test_rows_hold_no_token_and_no_endless_value(workspace: Served) -> None:
    w = workspace.client()
    values = [w.tokens.create(comment="x" * 9000).token_value]
    w.users.create(user_name="ben@example.com")
    values += [workspace.token_for("ben@example.com"), workspace.token]
    page = workspace.http.get("/page/", params={"token": workspace.token}, headers={"Authorization": ""})
    assert page.status_code == 303
    told = json.dumps([dict(row) for row in workspace.audit_rows()])
    assert not [value for value in values if value and value in told]
    assert max(len(row["request_params"]) for row in workspace.audit_rows()) < 2200


def test_rows_follow_the_workspaces_clock(workspace: Served) -> None:
    workspace.client().groups.create(display_name="before")
    workspace.advance(30 * 24 * 60 * 60)
    workspace.client().groups.create(display_name="after")
    before, after = workspace.audit_rows("createGroup")
    assert after["event_time"] - before["event_time"] >= 30 * 24 * 60 * 60 * 1000
