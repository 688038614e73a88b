"""System tables: what happened is in them, once, in order, with the published columns; nobody else may read or change them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service.catalog import PermissionsChange, Privilege
from deltalake import DeltaTable

from labs_lib.workspace.system import tables as system
from workspace.conftest import Served, serve

BEN = "ben@example.com"
HOUR = 3_600_000


def flush(served: Served) -> dict[str, int]:
    answer = served.http.post("/api/labs/system/flush")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["rows"])


def rows(served: Served, name: str) -> list[dict[str, Any]]:
    folder = system.folder_of(served.home, name)
    return DeltaTable(folder).to_pyarrow_table().to_pylist()


def test_every_table_is_there_with_its_columns(workspace: Served) -> None:
    flush(workspace)
    w = workspace.client()
    for name, source in system.SOURCES.items():
        found = w.tables.get(f"system.{name}")
        assert [column.name for column in found.columns or []] == source.schema.names
        assert found.storage_location == str(system.folder_of(workspace.home, name))


def test_what_is_done_and_denied_is_in_the_audit_table_once(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name=BEN)
    w.catalogs.create(name="shop")
    w.grants.update(
        "catalog", "shop", changes=[PermissionsChange(principal=BEN, add=[Privilege.USE_CATALOG])]
    )
    with pytest.raises(PermissionDenied):
        workspace.client(BEN).catalogs.delete("shop")
    flush(workspace)
    assert flush(workspace)["access.audit"] <= 1  # only what asking for it wrote
    found = [row for row in rows(workspace, "access.audit") if row["service_name"] == "unityCatalog"]
    told = [
        (row["action_name"], row["user_identity"]["email"], row["response"]["status_code"]) for row in found
    ]
    assert told == [
        ("createCatalog", "learner@example.com", 200),
        ("updatePermissions", "learner@example.com", 200),
        ("deleteCatalog", BEN, 403),
    ]
    assert dict(found[1]["request_params"])["full_name"] == "shop"
    assert "does not have MANAGE on Catalog 'shop'" in found[2]["response"]["error_message"]
    ids = [row["event_id"] for row in rows(workspace, "access.audit")]
    assert len(ids) == len(set(ids))


def test_a_workspace_that_is_opened_again_writes_on(tmp_path: Path) -> None:
    for round in (1, 2):
        serving = serve(tmp_path / "workspace")
        served = next(serving)
        served.client().catalogs.create(name=f"shop{round}")
        flush(served)
        found = [row for row in rows(served, "access.audit") if row["action_name"] == "createCatalog"]
        serving.close()
        assert len(found) == round


def test_the_system_is_nobodys_to_change(workspace: Served) -> None:
    w = workspace.client()
    for change in (
        lambda: w.catalogs.delete("system", force=True),
        lambda: w.schemas.update("system.access", owner="admins"),
        lambda: w.tables.delete("system.access.audit"),
        lambda: w.schemas.create(name="mine", catalog_name="system"),
    ):
        with pytest.raises(PermissionDenied):
            change()


def test_runs_are_cut_at_the_hours() -> None:
    """A run over midnight has a row for each hour, and only the last says how it ended."""
    cut = [*system._slices(HOUR // 2, 2 * HOUR + 10, 3 * HOUR)]
    assert cut == [(HOUR // 2, HOUR, False), (HOUR, 2 * HOUR, False), (2 * HOUR, 2 * HOUR + 10, True)]
    assert [*system._slices(HOUR // 2, None, 2 * HOUR)] == [(HOUR // 2, HOUR, False), (HOUR, 2 * HOUR, False)]
    assert [*system._slices(5, 5, HOUR)] == [(5, 5, True)]


def test_usage_follows_the_clock(workspace: Served) -> None:
    w = workspace.client()
    made = w.api_client.do(
        "POST",
        "/api/2.1/clusters/create",
        body={
            "cluster_name": "c",
            "spark_version": "17.3.x-scala2.13",
            "node_type_id": "m5.xlarge",
            "num_workers": 1,
            "autotermination_minutes": 0,
        },
    )
    workspace.advance(3 * 3600)
    flush(workspace)
    workspace.advance(2 * 3600)
    flush(workspace)
    found = [
        row
        for row in rows(workspace, "billing.usage")
        if row["usage_metadata"]["cluster_id"] == made["cluster_id"]
    ]
    spans = sorted((row["usage_start_time"], row["usage_end_time"]) for row in found)
    assert 4 <= len(found) <= 6 and len({row["record_id"] for row in found}) == len(found)
    assert all(first[1] <= second[0] or first == second for first, second in itertools.pairwise(spans))
