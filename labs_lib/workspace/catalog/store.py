"""The catalog's tables in the workspace's store."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, replace

from pydantic import TypeAdapter

from labs_lib.workspace.catalog.model import Catalog, Object, Tag
from labs_lib.workspace.catalog.privileges import Grant

SCHEMA = """
CREATE TABLE IF NOT EXISTS uc_objects (
    kind TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)
);
CREATE TABLE IF NOT EXISTS uc_grants (
    kind TEXT NOT NULL, name TEXT NOT NULL, principal TEXT NOT NULL, privilege TEXT NOT NULL,
    PRIMARY KEY (kind, name, principal, privilege)
);
CREATE TABLE IF NOT EXISTS uc_tags (
    kind TEXT NOT NULL, name TEXT NOT NULL, column_name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, name, column_name, key)
);
-- Grants and owners are kept by name, as people read them. Whoever is given a leaver's name later has nothing of the leaver's.
CREATE TRIGGER IF NOT EXISTS uc_leaver AFTER DELETE ON principals BEGIN
    DELETE FROM uc_grants WHERE principal = OLD.name;
    UPDATE uc_objects SET owner = 'admins' WHERE owner = OLD.name;
END;
CREATE TRIGGER IF NOT EXISTS uc_renamed AFTER UPDATE OF name ON principals WHEN OLD.name <> NEW.name BEGIN
    UPDATE uc_grants SET principal = NEW.name WHERE principal = OLD.name;
    UPDATE uc_objects SET owner = NEW.name WHERE owner = OLD.name;
END;
"""
OBJECT = TypeAdapter(Object)


def read(db: sqlite3.Connection) -> Catalog:
    """The whole catalog. Who owns an object is the table's to say, which follows the principals."""
    rows = db.execute("SELECT owner, body FROM uc_objects ORDER BY kind, name")
    found = [replace(OBJECT.validate_json(row["body"]), owner=row["owner"]) for row in rows]
    grants = frozenset(
        Grant(*row) for row in db.execute("SELECT kind, name, principal, privilege FROM uc_grants")
    )
    tags = db.execute("SELECT kind, name, column_name, key, value FROM uc_tags ORDER BY 1, 2, 3, 4")
    return Catalog({each.key: each for each in found}, grants, tuple(Tag(*row) for row in tags))


def save(db: sqlite3.Connection, each: Object) -> None:
    """Keep an object, in place of the one of that kind and name."""
    row = (each.kind, each.name, each.owner, OBJECT.dump_json(each).decode())
    db.execute("INSERT OR REPLACE INTO uc_objects VALUES (?, ?, ?, ?)", row)


def remove(db: sqlite3.Connection, kind: str, name: str) -> None:
    """Remove an object with its grants and tags; not what lies in it."""
    for table in ("uc_objects", "uc_grants", "uc_tags"):
        db.execute(f"DELETE FROM {table} WHERE kind = ? AND name = ?", (kind, name))


def change_grants(db: sqlite3.Connection, add: frozenset[Grant], remove: frozenset[Grant]) -> None:
    """Take away, and add what is not there yet."""
    query = "DELETE FROM uc_grants WHERE kind = ? AND name = ? AND principal = ? AND privilege = ?"
    db.executemany(query, map(astuple, remove))
    db.executemany("INSERT OR IGNORE INTO uc_grants VALUES (?, ?, ?, ?)", map(astuple, add))


def set_tags(db: sqlite3.Connection, kind: str, name: str, column: str, tags: Mapping[str, str]) -> None:
    """Keep tags of an object, or of a column of it."""
    rows = [(kind, name, column, key, value) for key, value in tags.items()]
    db.executemany("INSERT OR REPLACE INTO uc_tags VALUES (?, ?, ?, ?, ?)", rows)


def unset_tags(db: sqlite3.Connection, kind: str, name: str, column: str, keys: list[str]) -> None:
    """Remove them."""
    query = "DELETE FROM uc_tags WHERE kind = ? AND name = ? AND column_name = ? AND key = ?"
    db.executemany(query, [(kind, name, column, key) for key in keys])


def clear(db: sqlite3.Connection) -> None:
    """Forget all of it: before a load."""
    for table in ("uc_objects", "uc_grants", "uc_tags"):
        db.execute(f"DELETE FROM {table}")
