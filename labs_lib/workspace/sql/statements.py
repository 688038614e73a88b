"""The statement execution API 2.0: statements that wait, run, end, and are read again; the history of all of them."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waited
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from labs_lib.errors import LabsError
from labs_lib.workspace.catalog.columns import type_name
from labs_lib.workspace.ground import audit, store
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Later, Model
from labs_lib.workspace.ground.errors import (
    InvalidParameter,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    WorkspaceError,
)
from labs_lib.workspace.sql import warehouses
from labs_lib.workspace.sql.model import MAX_TEXT, Answer, Failed, Parameter, Statement

if TYPE_CHECKING:
    from labs_lib.workspace.sql.door import Door

SCHEMA = """
CREATE TABLE IF NOT EXISTS statements (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_name TEXT NOT NULL, user_id TEXT NOT NULL, warehouse_id TEXT NOT NULL,
    text TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'OTHER', error TEXT, started INTEGER NOT NULL, ended INTEGER,
    took INTEGER, rows INTEGER
);
CREATE TABLE IF NOT EXISTS lineage (
    number INTEGER PRIMARY KEY, statement_id TEXT NOT NULL, user_name TEXT NOT NULL, at INTEGER NOT NULL, source TEXT, target TEXT
);
"""
API = "/api/2.0/sql/statements"
AT_ONCE = 2
WAITING = 1000  # statements that wait for their turn
KEPT = 1000  # results
KEPT_ROWS = 1_000_000  # of all results together
CROWD = 16  # answers that wait for a statement, each of which holds a thread
CHUNK = 10_000  # rows of a chunk
MAX_BYTES = 25 * 2**20  # of an inline result
MAX_ROWS = 200_000

log = logging.getLogger("labs.workspace")


class ParameterModel(Model):
    name: str = Field(default="", max_length=255)
    value: str | None = None
    type: str = Field(default="STRING", pattern=r"^[A-Za-z_]{1,20}(\(\d{1,3}(,\s*\d{1,3})?\))?$")


class Asked(Model):
    statement: str
    warehouse_id: str
    catalog: str = Field(default="main", max_length=255)
    schema_: str = Field(default="default", alias="schema", max_length=255)
    parameters: list[ParameterModel] = Field(default_factory=list, max_length=255)
    row_limit: int = Field(default=MAX_ROWS, ge=1)
    byte_limit: int = Field(default=MAX_BYTES, ge=1)
    wait_timeout: str = Field(default="10s", pattern=r"^\d{1,2}s$")
    on_wait_timeout: Literal["CONTINUE", "CANCEL"] = "CONTINUE"
    disposition: Literal["INLINE"] = "INLINE"
    format: Literal["JSON_ARRAY"] = "JSON_ARRAY"


class One(Model):
    statement_id: str
    chunk_index: int = 0


class Runner:
    """What runs statements, a few at once, and keeps the last results."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._door: Door | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE, "sql")
        self._lock = threading.Lock()
        self._futures: dict[str, Future[None]] = {}
        self._results: OrderedDict[str, Answer] = OrderedDict()

    @property
    def door(self) -> Door:
        """The door, which is imported with the first statement: a workspace that is asked for none starts without it."""
        with self._lock:
            if self._door is None:
                from labs_lib.workspace.sql.door import Door

                self._door = Door(self._home)
            return self._door

    @property
    def waiting(self) -> int:
        return len(self._futures)

    @property
    def _rows(self) -> int:
        return sum(len(answer.rows) for answer in self._results.values())

    def submit(self, services: Services, statement: Statement) -> Future[None]:
        future = self._pool.submit(self._run, services, statement)
        with self._lock:
            self._futures[statement.id] = future
        future.add_done_callback(lambda _: self._futures.pop(statement.id, None))
        return future

    def result(self, id: str) -> Answer | None:
        with self._lock:
            return self._results.get(id)

    def cancel(self, id: str) -> None:
        if (future := self._futures.get(id)) and not future.cancel():
            self.door.cancel(id)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._door:
            self._door.stop()
        self._pool.shutdown(wait=True)

    def _run(self, services: Services, statement: Statement) -> None:
        with services.transaction() as ctx:
            if not _move(ctx, statement.id, "RUNNING", ("PENDING",)):
                return
        began = time.monotonic()
        answer, error = Answer(), None
        try:
            answer = self.door.execute(services, statement)
        except (WorkspaceError, Failed, LabsError) as refusal:
            error = refusal
        except Exception as fault:
            log.exception("statement %s", statement.id)
            error = LabsError(
                f"The door failed at this statement, which is a fault of its own: {type(fault).__name__}; the workspace's log says more."
            )
        with self._lock:
            self._results[statement.id] = answer
            while len(self._results) > KEPT or (len(self._results) > 1 and self._rows > KEPT_ROWS):
                self._results.popitem(last=False)
        with services.transaction(statement.caller) as ctx:
            _end(ctx, statement, answer, error, round((time.monotonic() - began) * 1000))


def runner(services: Services) -> Runner:
    found = services.parts["sql"]
    assert isinstance(found, Runner)
    return found


def _submit(ctx: Context, asked: Asked) -> Later:
    warehouses.require(ctx, asked.warehouse_id, "CAN_USE")
    wait = int(asked.wait_timeout[:-1])
    if wait and not 5 <= wait <= 50:
        raise InvalidParameter(f"wait_timeout is {asked.wait_timeout!r}; it is 0s, or 5s to 50s.")
    if not asked.statement.strip() or len(asked.statement) > MAX_TEXT:
        raise InvalidParameter(
            f"statement has {len(asked.statement):,} characters; it has to have 1 to {MAX_TEXT:,}."
        )
    running = runner(ctx.services)
    if running.waiting >= WAITING:
        raise ResourceExhausted(f"{WAITING} statements wait for their turn already.")
    statement = Statement(
        str(uuid.uuid4()),
        asked.statement,
        ctx.caller,
        asked.catalog.lower(),
        asked.schema_.lower(),
        tuple(Parameter(each.name, each.value, each.type) for each in asked.parameters),
        min(asked.row_limit, MAX_ROWS),
        ctx.request,
    )
    services, caller = ctx.services, ctx.caller
    row = {
        "id": statement.id,
        "user_name": caller.user_name,
        "user_id": caller.id,
        "warehouse_id": asked.warehouse_id,
    }
    store.insert(ctx.db, "statements", **row, text=statement.text, state="PENDING", started=ctx.now)

    def finish() -> Mapping[str, Any]:
        future = running.submit(services, statement)
        # In a crowd a statement that goes on anyway is asked for again rather than waited for: others want to be answered too.
        patient = asked.on_wait_timeout == "CANCEL" or running.waiting <= CROWD
        try:
            future.result(wait if patient else 0)
        except Waited:
            if wait and asked.on_wait_timeout == "CANCEL":
                with services.transaction() as later:
                    _cancel_now(later, statement.id)
        with services.transaction(caller) as later:
            return _shown(later, _row(later, statement.id), 0, asked.byte_limit)

    return Later(finish)


def _move(ctx: Context, id: str, state: str, before: tuple[str, ...]) -> bool:
    query = f"UPDATE statements SET state = ? WHERE id = ? AND state IN ({', '.join('?' * len(before))})"
    return ctx.db.execute(query, (state, id, *before)).rowcount > 0


def _end(ctx: Context, statement: Statement, answer: Answer, error: LabsError | None, took: int) -> None:
    """Keep how a statement ended, what it read and wrote, and tell the audit log; one that was cancelled meanwhile stays so."""
    told = None
    status = 200
    if error is not None:
        denied = isinstance(error, PermissionDenied)
        status = error.status if isinstance(error, WorkspaceError) else 400
        message = f"[INSUFFICIENT_PERMISSIONS] Insufficient privileges: {error}" if denied else str(error)
        told = {"error_code": "BAD_REQUEST", "message": message, "sql_state": "42501" if denied else None}
    state = "SUCCEEDED" if error is None else "FAILED"
    ctx.db.execute(
        "UPDATE statements SET state = CASE state WHEN 'CANCELED' THEN state ELSE ? END, kind = ?, error = ?, ended = ?, took = ?, rows = ?"
        " WHERE id = ?",
        (
            state,
            answer.kind,
            json.dumps(told) if told else None,
            ctx.now,
            took,
            len(answer.rows),
            statement.id,
        ),
    )
    name, said = statement.caller.user_name, told["message"] if told else None
    params = {"statementId": statement.id, "commandText": statement.text}
    finished = ("databrickssql", "commandFinish")
    audit.write(ctx.db, ctx.now, name, finished, params, statement.request, status, said)
    read = ("unityCatalog", "generateTemporaryTableCredential")
    for table in sorted(answer.reads):
        params = {"table_full_name": table, "operation": "READ", "statementId": statement.id}
        audit.write(ctx.db, ctx.now, name, read, params, statement.request)
    rows = [(statement.id, name, ctx.now, source, answer.writes) for source in sorted(answer.reads)]
    if answer.writes and not rows:
        rows = [(statement.id, name, ctx.now, None, answer.writes)]  # type: ignore[list-item]
    ctx.db.executemany(
        "INSERT INTO lineage (statement_id, user_name, at, source, target) VALUES (?, ?, ?, ?, ?)", rows
    )


def _row(ctx: Context, id: str) -> Any:
    """A statement's row. Raises NotFound; somebody else's is as if it were not there, but for admins."""
    row = ctx.db.execute("SELECT * FROM statements WHERE id = ?", (id,)).fetchone()
    if row is None or (row["user_name"] != ctx.caller.user_name and not ctx.caller.is_admin):
        raise NotFound(f"The statement {id} was not found.")
    return row


def _get(ctx: Context, wanted: One) -> Mapping[str, Any]:
    return _shown(ctx, _row(ctx, wanted.statement_id), 0)


def _chunk(ctx: Context, wanted: One) -> Mapping[str, Any]:
    shown = _shown(ctx, _row(ctx, wanted.statement_id), wanted.chunk_index)
    if "result" not in shown:
        raise NotFound(f"The statement {wanted.statement_id} has no chunk {wanted.chunk_index}.")
    return dict(shown["result"])


def _shown(ctx: Context, row: Any, chunk: int, most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """A statement as the API shows it. Results are kept in memory, and only the caller's own are shown; those that are gone are CLOSED."""
    answer = runner(ctx.services).result(row["id"]) if row["user_name"] == ctx.caller.user_name else None
    state = "CLOSED" if row["state"] == "SUCCEEDED" and answer is None else row["state"]
    status: dict[str, Any] = {"state": state}
    if row["error"]:
        error = json.loads(row["error"])
        status |= {"error": error, "sql_state": error.pop("sql_state")}
    shown: dict[str, Any] = {"statement_id": row["id"], "status": status}
    if state != "SUCCEEDED" or answer is None:
        return shown
    rows, truncated = _cut(answer.rows, most_bytes)
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    shown["manifest"] = {
        "format": "JSON_ARRAY",
        "schema": {
            "column_count": len(answer.columns),
            "columns": [
                {"name": name, "position": place, "type_name": type_name(kind), "type_text": kind.upper()}
                for place, (name, kind) in enumerate(answer.columns)
            ],
        },
        "total_chunk_count": len(chunks),
        "total_row_count": len(rows),
        "truncated": answer.truncated or truncated,
        "chunks": [
            {"chunk_index": place, "row_offset": place * CHUNK, "row_count": len(each)}
            for place, each in enumerate(chunks)
        ],
    }
    if chunk < len(chunks):
        place = {"chunk_index": chunk, "row_offset": chunk * CHUNK, "row_count": len(chunks[chunk])}
        shown["result"] = {**place, "data_array": chunks[chunk]}
        if chunk + 1 < len(chunks):
            link = f"{API}/{row['id']}/result/chunks/{chunk + 1}"
            shown["result"] |= {"next_chunk_index": chunk + 1, "next_chunk_internal_link": link}
    elif chunk == 0:
        shown["result"] = {"chunk_index": 0, "row_offset": 0, "row_count": 0, "data_array": []}
    return shown


def _cut(rows: list[list[str | None]], most: int) -> tuple[list[list[str | None]], bool]:
    size = 0
    for place, row in enumerate(rows):
        size += sum(len(cell or "") + 3 for cell in row)
        if size > most:
            return rows[:place], True
    return rows, False


def _cancel(ctx: Context, wanted: One) -> Mapping[str, Any]:
    _cancel_now(ctx, _row(ctx, wanted.statement_id)["id"])
    return {}


def _cancel_now(ctx: Context, id: str) -> None:
    if _move(ctx, id, "CANCELED", ("PENDING", "RUNNING")):
        ctx.db.execute("UPDATE statements SET ended = ? WHERE id = ?", (ctx.now, id))
        ctx.after_commit(lambda: runner(ctx.services).cancel(id))


def prepare(ctx: Context) -> None:
    """What ran when the last process ended runs no more."""
    error = {
        "error_code": "ABORTED",
        "message": "The workspace was stopped while the statement ran.",
        "sql_state": None,
    }
    query = (
        "UPDATE statements SET state = 'FAILED', ended = ?, error = ? WHERE state IN ('PENDING', 'RUNNING')"
    )
    ctx.db.execute(query, (ctx.now, json.dumps(error)))


ENDPOINTS = (
    Endpoint(
        "POST", API, _submit, Asked, ("databrickssql", "commandSubmit"), hidden=frozenset({"parameters"})
    ),
    Endpoint("GET", f"{API}/{{statement_id}}", _get, One),
    Endpoint("GET", f"{API}/{{statement_id}}/result/chunks/{{chunk_index}}", _chunk, One),
    Endpoint(
        "POST", f"{API}/{{statement_id}}/cancel", _cancel, One, ("databrickssql", "cancelQueryExecution")
    ),
)
