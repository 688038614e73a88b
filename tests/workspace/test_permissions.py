"""Access control lists: the matrix of principals, objects and levels, held against a table that was written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.iam import AccessControlRequest, ComplexValue, PermissionLevel

from labs_lib.workspace import app, permissions
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from workspace.conftest import Served, serve

LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
OWNED = ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER")


class Thing(Model):
    kind: str
    id: str
    parent: str | None = None
    level: str = "CAN_READ"


def _make(ctx: Context, wanted: Thing) -> None:
    store.put(ctx.db, wanted.kind, wanted.id, {"parent": wanted.parent})
    permissions.grant_owner(ctx, wanted.kind, wanted.id)


def _use(ctx: Context, wanted: Thing) -> None:
    permissions.require(ctx, wanted.kind, wanted.id, wanted.level)


def _delete(ctx: Context, wanted: Thing) -> None:
    store.remove(ctx.db, wanted.kind, wanted.id)
    permissions.forget(ctx, wanted.kind, wanted.id)


def _parent(kind: str) -> object:
    def parent(ctx: Context, id: str) -> tuple[str, str] | None:
        body = store.get(ctx.db, kind, id)
        return ("shelves", body["parent"]) if body and body["parent"] else None

    return parent


THINGS = SimpleNamespace(
    SCHEMA="",
    __name__="things",
    ENDPOINTS=(
        Endpoint("POST", "/api/2.0/things/make", _make, Thing),
        Endpoint("POST", "/api/2.0/things/use", _use, Thing, ("things", "use")),
        Endpoint("POST", "/api/2.0/things/delete", _delete, Thing),
    ),
)


@pytest.fixture
def workspace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A workspace with a service of the test's own: things on shelves, shelves on shelves, and errands, which have an owner."""
    for kind, levels in (("shelves", LEVELS), ("things", LEVELS), ("errands", OWNED)):
        permissions.register(
            kind,
            levels,
            exists=lambda ctx, id, kind=kind: store.get(ctx.db, kind, id) is not None,  # type: ignore[misc]
            parent=_parent(kind),  # type: ignore[arg-type]
        )
    monkeypatch.setattr(app, "SERVICES", (*app.SERVICES[:2], THINGS, *app.SERVICES[2:]))
    yield from serve(tmp_path_factory.mktemp("permissions"))


def people(workspace: Served) -> None:
    """ana is in `inner`, which is in `outer`; ben is in `outer`; carl is in no group; rob is a service principal in `outer`."""
    w = workspace.client()
    ana, ben, _ = (w.users.create(user_name=f"{name}@example.com") for name in ("ana", "ben", "carl"))
    rob = w.service_principals.create(
        display_name="rob", application_id="00000000-0000-0000-0000-00000000000b"
    )
    inner = w.groups.create(display_name="inner", members=[ComplexValue(value=ana.id)])
    w.groups.create(display_name="outer", members=[ComplexValue(value=each.id) for each in (inner, ben, rob)])


def make(workspace: Served, kind: str, id: str, parent: str | None = None, by: str | None = None) -> None:
    workspace.client(by).api_client.do(
        "POST", "/api/2.0/things/make", body={"kind": kind, "id": id, "parent": parent}
    )


def may(workspace: Served, who: str | None, kind: str, id: str, level: str) -> bool:
    try:
        workspace.client(who).api_client.do(
            "POST", "/api/2.0/things/use", body={"kind": kind, "id": id, "level": level}
        )
    except PermissionDenied:
        return False
    return True


def grant(
    level: str, user: str | None = None, group: str | None = None, robot: str | None = None
) -> AccessControlRequest:
    return AccessControlRequest(
        permission_level=PermissionLevel(level),
        user_name=user,
        group_name=group,
        service_principal_name=robot,
    )


ANA, BEN, CARL = (f"{name}@example.com" for name in ("ana", "ben", "carl"))
ROB = "00000000-0000-0000-0000-00000000000b"
# Who has what on the thing `t`, which is on shelf `low`, which is on shelf `high`, when the given entries stand. By hand, from the rules: a level
# holds those below it; a group's entry is for its members and for those of groups in it; an entry on a shelf is for all that is on it;
# the highest of all entries counts; admins may everything; nobody else may anything.
MATRIX = [
    ({}, {ANA: None, BEN: None, CARL: None, ROB: None}),
    ({"t": [("CAN_RUN", CARL)]}, {ANA: None, BEN: None, CARL: "CAN_RUN", ROB: None}),
    ({"t": [("CAN_READ", "outer")]}, {ANA: "CAN_READ", BEN: "CAN_READ", CARL: None, ROB: "CAN_READ"}),
    ({"t": [("CAN_EDIT", "inner")]}, {ANA: "CAN_EDIT", BEN: None, CARL: None, ROB: None}),
    ({"low": [("CAN_MANAGE", "inner")]}, {ANA: "CAN_MANAGE", BEN: None, CARL: None, ROB: None}),
    ({"high": [("CAN_READ", "users")]}, {ANA: "CAN_READ", BEN: "CAN_READ", CARL: "CAN_READ", ROB: None}),
    (
        {"high": [("CAN_EDIT", "outer")], "low": [("CAN_READ", BEN)], "t": [("CAN_RUN", ROB)]},
        {ANA: "CAN_EDIT", BEN: "CAN_EDIT", CARL: None, ROB: "CAN_EDIT"},
    ),
    ({"t": [("CAN_MANAGE", "admins")]}, {ANA: None, BEN: None, CARL: None, ROB: None}),
]


def test_the_matrix(workspace: Served) -> None:
    people(workspace)
    w = workspace.client()
    for number, (entries, expected) in enumerate(MATRIX):
        high, low, t = (f"{name}{number}" for name in ("high", "low", "t"))
        make(workspace, "shelves", high)
        make(workspace, "shelves", low, high)
        make(workspace, "things", t, low)
        for name, given in entries.items():
            requests = [
                grant(level, **{"user" if "@" in who else "robot" if who == ROB else "group": who})
                for level, who in given
            ]
            w.permissions.update(
                "things" if name == "t" else "shelves", f"{name}{number}", access_control_list=requests
            )
        for who, held in expected.items():
            for place, level in enumerate(LEVELS):
                allowed = held is not None and LEVELS.index(held) >= place
                assert may(workspace, who, "things", t, level) == allowed, (entries, who, level)
        assert may(workspace, None, "things", t, "CAN_MANAGE")


def test_a_list_says_from_where_a_level_comes(workspace: Served) -> None:
    people(workspace)
    w = workspace.client()
    make(workspace, "shelves", "s")
    make(workspace, "things", "t", "s", by=BEN)
    w.permissions.set("shelves", "s", access_control_list=[grant("CAN_READ", group="outer")])
    shown = w.permissions.get("things", "t")
    assert (shown.object_id, shown.object_type) == ("/things/t", "thing")
    told = {
        entry.user_name or entry.group_name: [
            (
                each.permission_level and each.permission_level.value,
                each.inherited,
                each.inherited_from_object,
            )
            for each in entry.all_permissions or []
        ]
        for entry in shown.access_control_list or []
    }
    assert told == {
        BEN: [("CAN_MANAGE", False, None)],
        "outer": [("CAN_READ", True, ["/shelves/s"])],
        "admins": [("CAN_MANAGE", True, ["/things/"])],
    }


def test_an_object_keeps_one_owner(workspace: Served) -> None:
    people(workspace)
    w = workspace.client()
    make(workspace, "errands", "e", by=ANA)
    w.permissions.set("errands", "e", access_control_list=[grant("CAN_VIEW", group="outer")])
    assert may(workspace, ANA, "errands", "e", "IS_OWNER") and not may(
        workspace, BEN, "errands", "e", "CAN_MANAGE_RUN"
    )
    workspace.client(ANA).permissions.update(
        "errands", "e", access_control_list=[grant("IS_OWNER", user=BEN)]
    )
    assert may(workspace, BEN, "errands", "e", "IS_OWNER") and not may(
        workspace, ANA, "errands", "e", "CAN_MANAGE"
    )
    with pytest.raises(InvalidParameterValue, match="an owner is a user or a service principal"):
        w.permissions.update("errands", "e", access_control_list=[grant("IS_OWNER", group="outer")])
    with pytest.raises(InvalidParameterValue, match="without an owner"):
        w.permissions.update("errands", "e", access_control_list=[grant("CAN_VIEW", user=BEN)])
    assert may(workspace, BEN, "errands", "e", "IS_OWNER")


def test_only_who_manages_grants(workspace: Served) -> None:
    people(workspace)
    make(workspace, "things", "t", by=ANA)
    as_ben, entry = workspace.client(BEN), [grant("CAN_MANAGE", user=BEN)]
    for refused in (as_ben.permissions.set, as_ben.permissions.update):
        with pytest.raises(
            PermissionDenied, match=r"ben@example\.com needs CAN_MANAGE on things/t and has no permission"
        ):
            refused("things", "t", access_control_list=entry)
    with pytest.raises(PermissionDenied):
        as_ben.permissions.get("things", "t")
    workspace.client(ANA).permissions.update("things", "t", access_control_list=[grant("CAN_EDIT", user=BEN)])
    assert as_ben.permissions.get("things", "t").object_id == "/things/t"
    with pytest.raises(PermissionDenied, match="and has CAN_EDIT there"):
        as_ben.permissions.update("things", "t", access_control_list=entry)


def test_what_is_wrong_in_a_list_is_named(workspace: Served) -> None:
    w = workspace.client()
    make(workspace, "things", "t")
    with pytest.raises(InvalidParameterValue, match=r"no permissions on 'thingies'; there are on .*things"):
        w.permissions.get("thingies", "t")
    with pytest.raises(NotFound, match="no object 'x' among the things"):
        w.permissions.get("things", "x")
    with pytest.raises(InvalidParameterValue, match="'CAN_USE', which things don't have; they have CAN_READ"):
        w.permissions.set("things", "t", access_control_list=[grant("CAN_USE", group="users")])
    with pytest.raises(NotFound, match=r"no user 'eve@example\.com'"):
        w.permissions.set("things", "t", access_control_list=[grant("CAN_READ", user="eve@example.com")])
    with pytest.raises(InvalidParameterValue, match="exactly one of user_name, group_name"):
        w.permissions.set(
            "things",
            "t",
            access_control_list=[AccessControlRequest(permission_level=PermissionLevel.CAN_READ)],
        )
    with pytest.raises(InvalidParameterValue, match="exactly one of user_name, group_name"):
        w.permissions.set(
            "things", "t", access_control_list=[grant("CAN_READ", user="learner@example.com", group="users")]
        )


def test_a_name_that_comes_again_inherits_nothing(workspace: Served) -> None:
    people(workspace)
    w = workspace.client()
    make(workspace, "things", "t")
    w.permissions.update(
        "things", "t", access_control_list=[grant("CAN_MANAGE", user=CARL), grant("CAN_READ", group="outer")]
    )
    w.api_client.do("POST", "/api/2.0/things/delete", body={"kind": "things", "id": "t"})
    make(workspace, "things", "t")
    carl = next(iter(w.users.list(filter=f'userName eq "{CARL}"')))
    make(workspace, "things", "u")
    w.permissions.update("things", "u", access_control_list=[grant("CAN_MANAGE", user=CARL)])
    w.users.delete(carl.id or "")
    w.users.create(user_name=CARL)
    workspace.forget(CARL)
    assert not may(workspace, BEN, "things", "t", "CAN_READ"), "an id that comes again brings no list"
    assert not may(workspace, CARL, "things", "u", "CAN_READ"), (
        "a leaver's grants are no grants of who gets the address next"
    )
    outer = next(iter(w.groups.list(filter='displayName eq "outer"')))
    w.permissions.update("things", "u", access_control_list=[grant("CAN_READ", group="outer")])
    w.groups.update(outer.id or "", display_name="others", members=outer.members)
    assert may(workspace, BEN, "things", "u", "CAN_READ"), "a group keeps its grants under another name"


def test_who_leaves_a_group_loses_at_once_what_it_gave(workspace: Served) -> None:
    people(workspace)
    w = workspace.client()
    make(workspace, "things", "t")
    w.permissions.update("things", "t", access_control_list=[grant("CAN_READ", group="outer")])
    assert may(workspace, ANA, "things", "t", "CAN_READ")
    inner = next(iter(w.groups.list(filter='displayName eq "inner"')))
    w.groups.update(inner.id or "", display_name="inner", members=[])
    assert not may(workspace, ANA, "things", "t", "CAN_READ") and may(
        workspace, BEN, "things", "t", "CAN_READ"
    )


def test_a_denial_is_in_the_audit_log_in_a_row_of_its_own(workspace: Served) -> None:
    people(workspace)
    make(workspace, "things", "t")
    assert not may(workspace, BEN, "things", "t", "CAN_READ")
    rows = workspace.audit_rows("use")
    assert [(row["user_name"], row["status_code"]) for row in rows] == [(BEN, 403)]
    assert (
        "ben@example.com needs CAN_READ" in rows[0]["error_message"]
        and '"id": "t"' in rows[0]["request_params"]
    )
