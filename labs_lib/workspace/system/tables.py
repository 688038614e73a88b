"""System tables: what happened, as Delta tables with the columns that Databricks publishes, for ordinary Spark and for the SQL door.

A thread writes them in batches, never a request. How far a table goes is kept in its own Delta log, in the commit that it speaks of, so that
a process that is killed at any moment neither loses a row nor writes one twice.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.workspace import compute, identity
from labs_lib.workspace.catalog import routes
from labs_lib.workspace.catalog import store as catalog_store
from labs_lib.workspace.catalog.model import SYSTEM_OWNER, Object
from labs_lib.workspace.catalog.privileges import Grant
from labs_lib.workspace.compute.billing import HOUR, MINUTE
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Later, Model

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = ""
EVERY = 30.0  # seconds between two batches; a test or an exercise asks for one at once
SOON = 1.0  # seconds to the first one, so that nobody waits for pyarrow at a workspace's first answer
BATCH = 20_000  # rows of a commit that are read by number
WINDOW = 7 * 24 * HOUR  # of a commit that is read by time
_APP = "workspace"  # names this writer in the Delta log's transactions (Delta protocol, "Transaction Identifiers")

log = logging.getLogger("labs.workspace")

Rows = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """Where a table's rows come from: those after one place and up to another. `ends` says how far it can be read now, after a place."""

    columns: str  # their name in `published`
    ends: Callable[[Context, int], int]
    rows: Callable[[Context, int, int], Rows]

    @property
    def schema(self) -> pa.Schema:
        """The table's columns."""
        from labs_lib.workspace.system import published

        found: pa.Schema = getattr(published, self.columns)
        return found


def _numbered(table: str, where: str = "true") -> Callable[[Context, int], int]:
    """The last number of the next batch. Rows that are not done yet hold up those behind them, so that none is passed over."""

    def ends(ctx: Context, after: int) -> int:
        undone = ctx.db.execute(
            f"SELECT min(number) FROM {table} WHERE number > ? AND NOT ({where})", (after,)
        ).fetchone()[0]
        last = ctx.db.execute(
            f"SELECT max(number) FROM (SELECT number FROM {table} WHERE number > ? AND number < ? ORDER BY number LIMIT ?)",
            (after, undone or 2**62, BATCH),
        ).fetchone()[0]
        return int(last or after)

    return ends


def _timed(step: int) -> Callable[[Context, int], int]:
    """The end of the next window, on a whole step that has passed."""

    def ends(ctx: Context, after: int) -> int:
        passed = (ctx.now - 1) - (ctx.now - 1) % step
        return min(passed, (after or _beginning(ctx, passed)) + WINDOW)

    return ends


def _beginning(ctx: Context, passed: int) -> int:
    return min(int(store.setting(ctx.db, "system_since", str(passed))), passed)


def _between(ctx: Context, table: str, after: int, until: int) -> list[sqlite3.Row]:
    return ctx.db.execute(
        f"SELECT * FROM {table} WHERE number > ? AND number <= ? ORDER BY number", (after, until)
    ).fetchall()


def _audit(ctx: Context, after: int, until: int) -> Rows:
    for row in _between(ctx, "audit", after, until):
        at = moment(row["event_time"])
        yield {
            "version": "2.0",
            "event_time": at,
            "event_date": at.date(),
            **{name: row[name] for name in ("source_ip_address", "user_agent", "service_name", "action_name", "request_id", "event_id")},
            "user_identity": {"email": row["user_name"], "subject_name": None},
            "request_params": [*json.loads(row["request_params"]).items()],
            "response": {"status_code": row["status_code"], "error_message": row["error_message"], "result": None},
            "audit_level": "WORKSPACE_LEVEL",
            "identity_metadata": {"run_by": row["user_name"], "run_as": row["user_name"]},
        }  # fmt: skip


def _lineage(ctx: Context, after: int, until: int) -> Rows:
    workspace = store.setting(ctx.db, "workspace_id")
    for row in _between(ctx, "lineage", after, until):
        at = moment(row["at"])
        yield {
            "metastore_id": routes.metastore_id(ctx),
            "entity_type": "DBSQL_QUERY",
            **_sides(row),
            "created_by": row["user_name"],
            "event_time": at,
            "event_date": at.date(),
            "record_id": f"{workspace}-{row['number']}",
            "event_id": row["statement_id"],
            "statement_id": row["statement_id"],
        }


def _sides(row: sqlite3.Row) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for side in ("source", "target"):
        if name := row[side]:
            parts = name.split(".")
            found |= {f"{side}_table_full_name": name, f"{side}_type": "TABLE"}
            found |= {
                f"{side}_table_{part}": value
                for part, value in zip(("catalog", "schema", "name"), parts, strict=True)
            }
    return found


def _queries(ctx: Context, after: int, until: int) -> Rows:
    status = {"SUCCEEDED": "FINISHED"}
    for row in _between(ctx, "statements", after, until):
        yield {
            "statement_id": row["id"],
            "execution_status": status.get(row["state"], row["state"]),
            "compute": {"type": "WAREHOUSE", "cluster_id": None, "warehouse_id": row["warehouse_id"]},
            "executed_by_user_id": row["user_id"],
            "executed_by": row["user_name"],
            "statement_text": row["text"],
            "statement_type": row["kind"],
            "error_message": json.loads(row["error"])["message"] if row["error"] else None,
            "total_duration_ms": row["took"],
            "start_time": moment(row["started"]),
            "end_time": moment(row["ended"]),
            "produced_rows": row["rows"],
            "executed_as_user_id": row["user_id"],
            "executed_as": row["user_name"],
        }


_RESULTS = {
    "SUCCESS": "SUCCEEDED",
    "SUCCESS_WITH_FAILURES": "SUCCEEDED",
    "TIMEDOUT": "TIMED_OUT",
    "CANCELED": "CANCELLED",
    "MAXIMUM_CONCURRENT_RUNS_REACHED": "SKIPPED",
}
_TRIGGERS = {"PERIODIC": "CRON", "ONE_TIME": "ONETIME"}


def _runs(ctx: Context, after: int, until: int) -> Rows:
    """A row for each run and hour of the clock; the last one says how it ended."""
    runs = ctx.db.execute(
        "SELECT * FROM runs WHERE coalesce(began, asked) <= ? AND (ended IS NULL OR ended > ?) ORDER BY id",
        (until, after),
    )
    for run in runs.fetchall():
        began = run["began"] or run["asked"]
        for start, end, last in _slices(began, run["ended"], until):
            if after < end <= until:
                yield {
                    "job_id": str(run["job_id"]),
                    "run_id": str(run["id"]),
                    "period_start_time": moment(start),
                    "period_end_time": moment(end),
                    "trigger_type": _TRIGGERS.get(run["trigger"], run["trigger"]),
                    "run_type": run["kind"],
                    "run_name": json.loads(run["settings"]).get("name"),
                    "compute_ids": [],
                    "result_state": _RESULTS.get(run["result"], run["result"]) if last else None,
                    "termination_code": run["code"] if last else None,
                    "job_parameters": [
                        (name, str(value)) for name, value in json.loads(run["parameters"]).items()
                    ],
                }


def _slices(began: int, ended: int | None, until: int) -> Iterator[tuple[int, int, bool]]:
    """A run's time, cut at the hours of the clock: begin, end, whether it is the last."""
    start = began
    while True:
        hour = start - start % HOUR + HOUR
        if ended is not None and ended <= hour:
            yield start, max(ended, began), True
            return
        if hour > until:
            return
        yield start, hour, False
        start = hour


def _usage(ctx: Context, after: int, until: int) -> Rows:
    for row in compute.usage(ctx, after or _beginning(ctx, until), until):
        yield {**row, "custom_tags": [*row["custom_tags"].items()]}


def _nodes(ctx: Context, after: int, until: int) -> Rows:
    return compute.nodes(ctx, after or _beginning(ctx, until), until)


SOURCES = {
    "access.audit": Source("AUDIT", _numbered("audit"), _audit),
    "access.table_lineage": Source("LINEAGE", _numbered("lineage"), _lineage),
    "billing.usage": Source("USAGE", _timed(HOUR), _usage),
    "compute.node_timeline": Source("NODES", _timed(MINUTE), _nodes),
    "lakeflow.job_run_timeline": Source("RUNS", _timed(1), _runs),
    "query.history": Source("QUERIES", _numbered("statements", "ended IS NOT NULL"), _queries),
}


class Writer:
    """The thread that writes."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="system", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def flush(self) -> dict[str, int]:
        """Write all that there is; the number of rows by table."""
        with self._writing:
            return {name: sum(self._batches(name, source)) for name, source in SOURCES.items()}

    def _work(self) -> None:
        pause = SOON
        while not self._ended.wait(pause):
            try:
                self.flush()
            except Exception:  # the next batch writes what this one could not
                log.exception("system tables")
            pause = EVERY

    def _batches(self, name: str, source: Source) -> Iterator[int]:
        import pyarrow as pa
        from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

        folder = str(folder_of(self._services.home, name))
        if not DeltaTable.is_deltatable(folder):
            DeltaTable.create(folder, source.schema, mode="ignore")
        after = DeltaTable(folder).transaction_version(_APP) or 0
        while True:
            with self._services.transaction() as ctx:
                workspace = store.setting(ctx.db, "workspace_id")
                place = {"account_id": workspace, "workspace_id": workspace}
                until = source.ends(ctx, after)
                rows = [{**place, **row} for row in source.rows(ctx, after, until)] if until > after else []
            if until <= after:
                return
            if rows:  # a time without any is looked at again, and costs no commit
                commit = CommitProperties(app_transactions=[Transaction(_APP, until)])
                table = pa.Table.from_pylist(rows, source.schema)
                write_deltalake(folder, table, mode="append", commit_properties=commit)
            after = until
            yield len(rows)


def folder_of(home: Path, name: str) -> Path:
    """Where a system table lies, such as `access.audit`."""
    return home / "system" / name.replace(".", "/")


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def prepare(ctx: Context) -> None:
    """Have the system's catalog, which admins may read and nobody may change."""
    catalog = catalog_store.read(ctx.db)
    if not store.setting(ctx.db, "system_since"):
        store.set_setting(ctx.db, "system_since", str(ctx.now))
    names = ["system", *(f"system.{name.split('.')[0]}" for name in SOURCES)]
    for kind, name in [(("CATALOG", "SCHEMA")[name.count(".")], name) for name in dict.fromkeys(names)]:
        if catalog.find(kind, name) is None:
            catalog_store.save(
                ctx.db, Object(kind, name, SYSTEM_OWNER, id=name, created_at=ctx.now, created_by=SYSTEM_OWNER)
            )
            if kind == "CATALOG":
                held = ("USE_CATALOG", "USE_SCHEMA", "SELECT")
                catalog_store.change_grants(
                    ctx.db, frozenset(Grant(kind, name, "admins", each) for each in held), frozenset()
                )
    for name in SOURCES:
        location = str(folder_of(ctx.home, name))
        made = Object(
            "TABLE", f"system.{name}", SYSTEM_OWNER, id=f"system.{name}", type="EXTERNAL", location=location
        )
        catalog_store.save(ctx.db, made)


def start(services: Services) -> None:
    services.parts["system"] = Writer(services)


def stop(services: Services) -> None:
    if writer := services.parts.pop("system", None):
        writer.stop()


def _flush(ctx: Context, _: Model) -> Later:
    identity.require_admin(ctx, "has the system tables written")
    writer = ctx.services.parts["system"]
    return Later(lambda: {"rows": writer.flush()})


ENDPOINTS = (Endpoint("POST", "/api/labs/system/flush", _flush),)
