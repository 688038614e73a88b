"""Catalogs, schemas, tables, owners and grants, through the real SDK."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from databricks.sdk.errors import (
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
)
from databricks.sdk.service.catalog import (
    ColumnInfo,
    ColumnTypeName,
    DataSourceFormat,
    PermissionsChange,
    Privilege,
    SecurableType,
    TableType,
)
from databricks.sdk.service.iam import ComplexValue
from deltalake import write_deltalake

from workspace.conftest import Served

BEN = "ben@example.com"


@pytest.fixture
def shop(workspace: Served) -> Served:
    """A workspace with a catalog `shop`, a schema `shop.silver`, and Ben, who is in `analysts`."""
    w = workspace.client()
    ben = w.users.create(user_name=BEN)
    w.groups.create(display_name="analysts", members=[ComplexValue(value=ben.id)])
    w.catalogs.create(name="shop", comment="What the shop sells")
    w.schemas.create(name="silver", catalog_name="shop")
    return workspace


@pytest.fixture
def sales(shop: Served, tmp_path: Path) -> str:
    """An external table of the shop's."""
    folder = tmp_path / "sales"
    write_deltalake(folder, pa.table({"id": [1, 2], "amount": [1.5, 2.5], "who": ["a", "b"]}))
    return table(shop, "sales", folder)


def table(shop: Served, name: str, folder: object, user: str | None = None) -> str:
    """An external table of the shop's, made by somebody."""
    shop.client(user).tables.create(
        name=name,
        catalog_name="shop",
        schema_name="silver",
        table_type=TableType.EXTERNAL,
        data_source_format=DataSourceFormat.DELTA,
        storage_location=str(folder),
        columns=[ColumnInfo(name="id", type_name=ColumnTypeName.LONG, type_text="bigint")],
    )
    return f"shop.silver.{name}"


def grant(
    served: Served, kind: SecurableType, name: str, *privileges: Privilege, to: str = "analysts"
) -> None:
    served.client().grants.update(
        kind.value, name, changes=[PermissionsChange(principal=to, add=[*privileges])]
    )


def test_objects_are_made_listed_changed_and_dropped(shop: Served) -> None:
    w = shop.client()
    assert {each.name for each in w.catalogs.list()} == {"main", "shop", "system"}
    assert [each.full_name for each in w.schemas.list("shop")] == ["shop.default", "shop.silver"]
    with pytest.raises(ResourceAlreadyExists, match=r"Schema 'shop\.silver' already exists"):
        w.schemas.create(name="SILVER", catalog_name="shop")
    changed = w.schemas.update("shop.silver", owner="analysts", comment="cleaned")
    assert (changed.owner, changed.comment) == ("analysts", "cleaned")
    with pytest.raises(NotFound, match="Could not find principal with name nobody"):
        w.schemas.update("shop.silver", owner="nobody")
    with pytest.raises(BadRequest, match=r"not empty: shop\.default is in it"):
        w.catalogs.delete("shop")
    w.catalogs.delete("shop", force=True)
    with pytest.raises(NotFound, match=r"Catalog 'shop' does not exist"):
        w.catalogs.get("shop")


@pytest.mark.parametrize("name", ["a.b", "a b", "", "x" * 300, "a'b", "a`b", "a\nb", "a/b"])
def test_names_that_nobody_can_write_are_refused(workspace: Served, name: str) -> None:
    with pytest.raises(BadRequest):
        workspace.client().catalogs.create(name=name)


def test_a_table_says_what_its_log_says(shop: Served, sales: str) -> None:
    w = shop.client()
    found = w.tables.get(sales)
    assert found.columns and found.storage_location
    assert [(each.name, each.type_text) for each in found.columns] == [
        ("id", "bigint"),
        ("amount", "double"),
        ("who", "string"),
    ]
    write_deltalake(
        found.storage_location, pa.table({"id": [3], "new": [True]}), mode="append", schema_mode="merge"
    )
    again = w.tables.get(sales).columns or []
    assert [each.name for each in again] == ["id", "amount", "who", "new"]
    assert w.tables.exists(sales).table_exists
    assert [each.full_name for each in w.tables.list("shop", "silver")] == [sales]


def test_locations_do_not_overlap(shop: Served, sales: str, tmp_path: Path) -> None:
    for location, sentence in (
        (tmp_path / "sales", "overlaps that of table"),
        (tmp_path / "sales" / "x", "overlaps that of table"),
        (tmp_path, "overlaps"),
        (tmp_path / "workspace" / "x", "workspace's own folder"),
        ("relative", "no absolute path"),
    ):
        with pytest.raises(InvalidParameterValue, match=sentence):
            table(shop, "other", location)


def test_grants_count_along_the_way(shop: Served, sales: str) -> None:
    ben = shop.client(BEN)
    with pytest.raises(PermissionDenied, match=r"does not have any privilege on table 'shop\.silver\.sales'"):
        ben.tables.get(sales)
    assert [*ben.catalogs.list()] == []
    grant(shop, SecurableType.CATALOG, "shop", Privilege.SELECT)
    assert ben.tables.get(sales).name == "sales"
    grant(shop, SecurableType.CATALOG, "shop", Privilege.CREATE_SCHEMA)
    with pytest.raises(PermissionDenied, match=r"does not have USE CATALOG on Catalog 'shop'"):
        ben.schemas.create("gold", "shop")
    grant(
        shop,
        SecurableType.CATALOG,
        "shop",
        Privilege.USE_CATALOG,
        Privilege.USE_SCHEMA,
        Privilege.CREATE_TABLE,
    )
    assert ben.schemas.create("gold", "shop").owner == BEN
    ben.schemas.delete("shop.gold")
    with pytest.raises(PermissionDenied, match="only a metastore admin may name one"):
        table(shop, "files", "/tmp/x", BEN)


def test_effective_permissions_say_from_where(shop: Served, sales: str) -> None:
    grant(shop, SecurableType.CATALOG, "shop", Privilege.USE_CATALOG, Privilege.SELECT)
    grant(shop, SecurableType.TABLE, sales, Privilege.MODIFY)
    w = shop.client()
    direct = w.grants.get("table", sales).privilege_assignments or []
    assert [(each.principal, each.privileges) for each in direct] == [("analysts", [Privilege.MODIFY])]
    effective = (w.grants.get_effective("table", sales, principal="analysts").privilege_assignments or [])[0]
    assert effective.privileges
    assert {(each.privilege, each.inherited_from_name) for each in effective.privileges} == {
        (Privilege.MODIFY, None),
        (Privilege.SELECT, "shop"),
        (Privilege.USE_CATALOG, "shop"),
    }


def test_only_those_who_manage_grant(shop: Served, sales: str) -> None:
    change = [PermissionsChange(principal="account users", add=[Privilege.SELECT])]
    with pytest.raises(PermissionDenied, match="does not have MANAGE on Table"):
        shop.client(BEN).grants.update("table", sales, changes=change)
    grant(shop, SecurableType.SCHEMA, "shop.silver", Privilege.MANAGE)
    shop.client(BEN).grants.update("table", sales, changes=change)
    taken = [PermissionsChange(principal="account users", remove=[Privilege.ALL_PRIVILEGES])]
    assert not shop.client().grants.update("table", sales, changes=taken).privilege_assignments


def test_what_cannot_be_granted_is_refused_whole(shop: Served, sales: str) -> None:
    w = shop.client()
    for privilege, sentence in (
        (Privilege.USE_SCHEMA, "USE SCHEMA is not applicable to TABLE"),
        (Privilege.USAGE, "the privilege is USE_CATALOG or USE_SCHEMA today"),
    ):
        change = [
            PermissionsChange(principal=BEN, add=[Privilege.SELECT]),
            PermissionsChange(principal=BEN, add=[privilege]),
        ]
        with pytest.raises(InvalidParameterValue, match=sentence):
            w.grants.update("table", sales, changes=change)
    with pytest.raises(NotFound, match="Could not find principal with name ghosts"):
        grant(shop, SecurableType.TABLE, sales, Privilege.SELECT, to="ghosts")
    assert not w.grants.get("table", sales).privilege_assignments


def test_the_state_goes_out_and_in(shop: Served, sales: str) -> None:
    grant(shop, SecurableType.TABLE, sales, Privilege.SELECT)
    state = shop.http.get("/api/labs/state").json()["catalog"]
    shop.client().catalogs.delete("shop", force=True)
    assert shop.http.put("/api/labs/state", json={"catalog": state}).status_code == 200
    assert shop.http.get("/api/labs/state").json()["catalog"] == state
    for damage, sentence in (
        ({"objects": [{"kind": "TABLE", "name": "a.b.c", "owner": "admins"}]}, "Schema 'a.b' does not exist"),
        (
            {
                "objects": [],
                "grants": [{"kind": "CATALOG", "name": "x", "principal": BEN, "privilege": "SELECT"}],
            },
            "Catalog 'x' does not exist",
        ),
        ({"objects": [{**state["objects"][0], "surprise": 1}]}, "surprise"),
        ({"objects": [state["objects"][0]] * 2}, "names an object twice"),
    ):
        answer = shop.http.put("/api/labs/state", json={"catalog": damage})
        assert answer.status_code in (400, 404) and sentence in answer.json()["message"], answer.text
    assert shop.http.get("/api/labs/state").json()["catalog"] == state


def test_denials_and_grants_are_in_the_audit_log(shop: Served, sales: str) -> None:
    with pytest.raises(PermissionDenied):
        shop.client(BEN).grants.update(
            "table", sales, changes=[PermissionsChange(principal=BEN, add=[Privilege.SELECT])]
        )
    import sqlite3

    rows = sqlite3.connect(shop.home / "workspace.db").execute(
        "SELECT user_name, status_code FROM audit WHERE action_name = 'updatePermissions'"
    )
    assert rows.fetchall() == [(BEN, 403)]


def test_a_leavers_grants_are_nobodys(shop: Served, sales: str) -> None:
    """Who is given a leaver's address later has nothing of the leaver's; a group that is renamed keeps what it was granted."""
    w = shop.client()
    grant(shop, SecurableType.TABLE, sales, Privilege.SELECT, to=BEN)
    w.schemas.update("shop.silver", owner=BEN)
    w.users.delete(next(str(user.id) for user in w.users.list() if user.user_name == BEN))
    w.users.create(user_name=BEN)
    assert not w.grants.get("table", sales).privilege_assignments
    assert w.schemas.get("shop.silver").owner == "admins"
