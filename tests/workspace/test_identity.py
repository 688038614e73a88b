"""Users, groups, service principals and tokens, through the real SDK."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.iam import ComplexValue, Patch, PatchOp, PatchSchema

from workspace.conftest import Served, client_of

SCHEMA = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
MINUTE, DAY = 60, 24 * 60 * 60


def value(id: str | None) -> ComplexValue:
    return ComplexValue(value=id)


def names(values: list[ComplexValue] | None) -> list[str | None]:
    return [each.display for each in values or []]


def test_the_learner_is_an_admin(workspace: Served) -> None:
    me = workspace.client().current_user.me()
    assert me.user_name == "learner@example.com" and names(me.groups) == ["admins"]
    assert workspace.client().get_workspace_id() > 0


def test_users_are_made_found_changed_and_deleted(workspace: Served) -> None:
    w = workspace.client()
    ana = w.users.create(user_name="ana@example.com", display_name="Ana")
    assert ana.id and ana.active
    with pytest.raises(ResourceAlreadyExists, match=r"a user 'ANA@example\.com' already"):
        w.users.create(user_name="ANA@example.com")
    w.users.update(ana.id, user_name="ana@example.com", display_name="Ana O'Brien")
    assert w.users.get(ana.id).display_name == "Ana O'Brien"
    with pytest.raises(InvalidParameterValue, match=r"userName of ana@example\.com can't become"):
        w.users.update(ana.id, user_name="anna@example.com")
    w.users.delete(ana.id)
    with pytest.raises(NotFound, match=f"no user with the id '{ana.id}'"):
        w.users.get(ana.id)
    again = w.users.create(user_name="ana@example.com")
    assert again.id != ana.id, "ids are never given twice"


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ('userName eq "u3@example.com"', {"u3"}),
        ('userName eq "U3@EXAMPLE.com"', {"u3"}),
        ('userName sw "u"', {"u0", "u1", "u2", "u3", "u4"}),
        ('displayName co "even"', {"u0", "u2", "u4"}),
        ('userName ne "u0@example.com"', {"learner", "u1", "u2", "u3", "u4"}),
        ("active eq false", set()),
        ("displayName eq any-0123456789ab", set()),
    ],
)
def test_users_are_filtered(filter: str, found: set[str], workspace: Served) -> None:
    w = workspace.client()
    for number in range(5):
        w.users.create(
            user_name=f"u{number}@example.com", display_name=f"{('even', 'odd')[number % 2]} {number}"
        )
    assert {str(user.user_name).partition("@")[0] for user in w.users.list(filter=filter)} == found


@pytest.mark.parametrize(
    "filter", ["userName", 'userName eq "a" xor active eq true', 'userName eq "a', "", "x" * 100_000]
)
def test_a_filter_that_is_none_is_refused(filter: str, workspace: Served) -> None:
    answer = workspace.http.get("/api/2.0/preview/scim/v2/Users", params={"filter": filter[:5000] or " "})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_lists_are_given_page_by_page(workspace: Served) -> None:
    w = workspace.client()
    for number in range(7):
        w.users.create(user_name=f"u{number}@example.com")
    users = [user.user_name for user in w.users.list(count=3)]
    assert users == ["learner@example.com", *(f"u{number}@example.com" for number in range(7))]
    assert [(user.user_name, user.active) for user in w.users.list(attributes="userName")] == [
        (name, None) for name in users
    ]


def test_a_user_is_deactivated_in_the_form_that_works(workspace: Served) -> None:
    w = workspace.client()
    ben = w.users.create(user_name="ben@example.com")
    as_ben = workspace.client("ben@example.com")
    assert ben.id and as_ben.current_user.me().active
    # The SDK leaves out a value of False: the request that arrives replaces `active` by nothing.
    with pytest.raises(InvalidParameterValue, match="the SDK leaves out a value of False"):
        w.users.patch(
            ben.id, operations=[Patch(op=PatchOp.REPLACE, path="active", value=False)], schemas=SCHEMA
        )
    w.users.patch(ben.id, operations=[Patch(op=PatchOp.REPLACE, value={"active": False})], schemas=SCHEMA)
    with pytest.raises(PermissionDenied, match=r"ben@example\.com has been deactivated"):
        as_ben.current_user.me()
    answer = workspace.http.patch(
        f"/api/2.0/preview/scim/v2/Users/{ben.id}",
        json={"Operations": [{"op": "Replace", "path": "active", "value": True}]},
    )
    assert answer.status_code == 200 and as_ben.current_user.me().active


def test_members_come_and_go_in_both_forms_of_patch(workspace: Served) -> None:
    w = workspace.client()
    ana, ben = (w.users.create(user_name=f"{name}@example.com", display_name=name) for name in ("ana", "ben"))
    team = w.groups.create(display_name="team", members=[value(ana.id)])
    assert team.id and names(team.members) == ["ana"]

    def members() -> list[str | None]:
        return names(w.groups.get(team.id or "").members)

    w.groups.patch(
        team.id, operations=[Patch(op=PatchOp.ADD, path="members", value=[{"value": ben.id}])], schemas=SCHEMA
    )
    assert members() == ["ana", "ben"]
    w.groups.patch(
        team.id, operations=[Patch(op=PatchOp.REMOVE, path=f'members[value eq "{ana.id}"]')], schemas=SCHEMA
    )
    assert members() == ["ben"]
    w.groups.patch(
        team.id, operations=[Patch(op=PatchOp.ADD, value={"members": [{"value": ana.id}]})], schemas=SCHEMA
    )
    assert members() == ["ana", "ben"]
    w.groups.patch(team.id, operations=[Patch(op=PatchOp.REMOVE, path="members")], schemas=SCHEMA)
    assert members() == []
    w.groups.update(team.id, display_name="the team", members=[value(ana.id)])
    assert members() == ["ana"] and names(w.users.get(ana.id or "").groups) == ["the team"]
    w.users.delete(ana.id or "")
    assert members() == []


def test_a_group_in_a_group_gives_its_members_and_no_circle_is_made(workspace: Served) -> None:
    w = workspace.client()
    ben = w.users.create(user_name="ben@example.com")
    inner = w.groups.create(display_name="inner", members=[value(ben.id)])
    middle = w.groups.create(display_name="middle", members=[value(inner.id)])
    as_ben = workspace.client("ben@example.com")
    with pytest.raises(PermissionDenied):
        as_ben.users.create(user_name="eve@example.com")
    admins = next(iter(w.groups.list(filter='displayName eq "admins"')))
    for group in (inner, middle):
        with pytest.raises(InvalidParameterValue, match="is, or holds, the group itself"):
            w.groups.patch(
                inner.id or "",
                operations=[Patch(op=PatchOp.ADD, value={"members": [{"value": group.id}]})],
                schemas=SCHEMA,
            )
    w.groups.patch(
        admins.id or "",
        operations=[Patch(op=PatchOp.ADD, value={"members": [{"value": middle.id}]})],
        schemas=SCHEMA,
    )
    assert as_ben.users.create(user_name="eve@example.com").id, "ben is an admin by way of two groups"


def test_a_workspace_keeps_its_groups_and_the_learner_as_admin(workspace: Served) -> None:
    w = workspace.client()
    admins, users = (
        next(iter(w.groups.list(filter=f'displayName eq "{name}"'))) for name in ("admins", "users")
    )
    me = w.current_user.me()
    ana = w.users.create(user_name="ana@example.com")
    w.groups.update(admins.id or "", display_name="admins", members=[value(ana.id), value(me.id)])
    for refused in (
        lambda: w.groups.delete(admins.id or ""),
        lambda: w.groups.update(admins.id or "", display_name="nobody"),
        lambda: w.groups.update(admins.id or "", display_name="admins", members=[]),
        lambda: w.users.delete(me.id or ""),
        lambda: w.users.update(me.id or "", user_name="learner@example.com", active=False),
        lambda: w.groups.update(admins.id or "", display_name="admins", members=[value(ana.id)]),
        lambda: w.groups.patch(
            users.id or "", operations=[Patch(op=PatchOp.REMOVE, path="members")], schemas=SCHEMA
        ),
    ):
        with pytest.raises(InvalidParameterValue):
            refused()
    assert names(w.current_user.me().groups) == ["admins"]


def test_only_admins_change_identities(workspace: Served) -> None:
    w = workspace.client()
    ben = w.users.create(user_name="ben@example.com")
    team = w.groups.create(display_name="team")
    as_ben = workspace.client("ben@example.com")
    assert [user.user_name for user in as_ben.users.list()] == ["learner@example.com", "ben@example.com"]
    for refused in (
        lambda: as_ben.users.create(user_name="eve@example.com"),
        lambda: as_ben.users.delete(ben.id or ""),
        lambda: as_ben.groups.update(team.id or "", display_name="mine"),
        lambda: as_ben.service_principals.create(display_name="robot"),
        lambda: as_ben.token_management.list(),
    ):
        with pytest.raises(PermissionDenied, match=r"Only an admin .*; ben@example\.com is none"):
            for _ in refused() or ():
                pass


def test_a_service_principal_acts_by_a_token_on_its_behalf(workspace: Served) -> None:
    w = workspace.client()
    robot = w.service_principals.create(display_name="robot")
    made = w.token_management.create_obo_token(
        robot.application_id or "", comment="ci", lifetime_seconds=MINUTE
    )
    as_robot = client_of(workspace.address, made.token_value or "")
    assert as_robot.current_user.me().user_name == robot.application_id
    assert [info.comment for info in w.token_management.list()] == ["the lab", "ci"]
    workspace.advance(MINUTE)
    with pytest.raises(PermissionDenied, match="has expired"):
        as_robot.current_user.me()


def test_tokens_end_by_the_clock_or_when_they_are_revoked(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name="ben@example.com")
    as_ben = workspace.client("ben@example.com")
    short, long = (
        as_ben.tokens.create(comment=f"{days} days", lifetime_seconds=days * DAY) for days in (1, 40)
    )
    clients = [client_of(workspace.address, made.token_value or "") for made in (short, long)]
    workspace.advance(DAY - MINUTE)
    assert all(client.current_user.me().user_name == "ben@example.com" for client in clients)
    workspace.advance(2 * MINUTE)
    with pytest.raises(PermissionDenied, match=r"the token of ben@example\.com has expired"):
        clients[0].current_user.me()
    assert [info.comment for info in as_ben.tokens.list()] == ["lab.token_for", "40 days"]
    assert long.token_info and long.token_info.token_id
    with pytest.raises(NotFound):
        w.tokens.delete(long.token_info.token_id)  # another's: only by token_management
    w.token_management.delete(long.token_info.token_id)
    with pytest.raises(PermissionDenied, match=r"the token of ben@example\.com was revoked"):
        clients[1].current_user.me()
    forever = w.tokens.create(comment="as long as may be")
    assert forever.token_info and forever.token_info.expiry_time and forever.token_info.creation_time
    assert forever.token_info.expiry_time - forever.token_info.creation_time == 730 * DAY * 1000


def test_nothing_but_a_tokens_digest_is_kept(workspace: Served) -> None:
    made = workspace.client().tokens.create(comment="secret")
    kept = b"".join(path.read_bytes() for path in workspace.home.glob("workspace.db*"))
    assert made.token_value and made.token_value.encode() not in kept and workspace.token.encode() not in kept
