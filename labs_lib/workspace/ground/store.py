"""The workspace's state in SQLite: one transaction a request, written ahead, so that what was answered outlives a killed process."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labs_lib.errors import LabsError

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, id), UNIQUE (kind, name)
);
"""
FIRST_ID = 1000  # ids are counted up from here and never given twice


class Store:
    """The state in one file. Transactions follow each other: each sees all that was answered before."""

    def __init__(self, path: Path, schemas: Iterable[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # A killed process loses nothing; a power cut may lose the last moments.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA foreign_keys=ON")
            for schema in (SCHEMA, *schemas):
                self._db.executescript(schema)
        except sqlite3.DatabaseError as error:
            raise LabsError(
                f"The workspace's state, {path}, can't be read ({error}); move the file aside to begin with a new workspace."
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that is kept at the end, and rolled back if an error leaves the block."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file, once the transaction that runs has ended."""
        with self._lock:
            self._db.close()


def insert(db: sqlite3.Connection, table: str, **row: object) -> None:
    """Add a row; columns that are not named have their defaults."""
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def update(db: sqlite3.Connection, table: str, id: object, **changes: object) -> None:
    """Change columns of the row of that id."""
    told = ", ".join(f'"{name}" = ?' for name in changes)
    db.execute(f"UPDATE {table} SET {told} WHERE id = ?", (*changes.values(), id))


def next_id(db: sqlite3.Connection, kind: str) -> int:
    """A number that no other object of this kind has, had or will have."""
    row = db.execute(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET last = last + 1 RETURNING last",
        (kind, FIRST_ID),
    ).fetchone()
    return int(row["last"])


def reserve_ids(db: sqlite3.Connection, kind: str, highest: int) -> None:
    """Have ids of this kind go on above that number: after a load, whose objects bring their own."""
    db.execute(
        "INSERT INTO counters VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET last = max(last, excluded.last)",
        (kind, max(highest, FIRST_ID)),
    )


def put(db: sqlite3.Connection, kind: str, id: str, body: dict[str, Any], name: str | None = None) -> None:
    """Keep a document, in place of the one of the same kind and id. Raises sqlite3.IntegrityError if another has that name."""
    db.execute(
        "INSERT INTO documents VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, id) DO UPDATE SET name = excluded.name, body = excluded.body",
        (kind, id, name, json.dumps(body)),
    )


def get(db: sqlite3.Connection, kind: str, id: str) -> dict[str, Any] | None:
    """The document of that kind and id, if there is one."""
    row = db.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, id)).fetchone()
    return json.loads(row["body"]) if row else None


def find(db: sqlite3.Connection, kind: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """Id and document of that kind and name, if there is one."""
    row = db.execute("SELECT id, body FROM documents WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return (row["id"], json.loads(row["body"])) if row else None


def every(db: sqlite3.Connection, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and documents of that kind, in the order in which they came."""
    rows = db.execute("SELECT id, body FROM documents WHERE kind = ? ORDER BY rowid", (kind,))
    return [(row["id"], json.loads(row["body"])) for row in rows]


def remove(db: sqlite3.Connection, kind: str, id: str) -> bool:
    """Remove a document; tells whether there was one."""
    return db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id)).rowcount > 0


def clear(db: sqlite3.Connection, kind: str) -> None:
    """Remove all documents of a kind: before a load."""
    db.execute("DELETE FROM documents WHERE kind = ?", (kind,))


def setting(db: sqlite3.Connection, name: str, default: str = "") -> str:
    """A setting of the workspace's."""
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return str(row["value"]) if row else default


def set_setting(db: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a setting of the workspace's."""
    db.execute(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def secret(db: sqlite3.Connection, name: str) -> bytes:
    """A secret of the workspace's, made on first need."""
    if not setting(db, name):
        set_setting(db, name, secrets.token_hex())
    return setting(db, name).encode()
