"""Says what to write instead of Delta's `DeltaTable`, whose calls the lab's Spark Connect server can't read.

They travel as messages of Delta's own, for which a server needs a plug-in; SQL says the same without.
"""

from __future__ import annotations

from typing import NoReturn

from labs_lib.errors import LabsError

ENTRIES = (
    "convertToDelta",
    "create",
    "createIfNotExists",
    "createOrReplace",
    "forName",
    "forPath",
    "isDeltaTable",
    "replace",
)


def explain() -> None:
    """Let each way to a `DeltaTable` raise a LabsError that names the SQL statements, instead of a failure on the server later."""
    from delta.connect.tables import DeltaTable

    for name in ENTRIES:
        setattr(DeltaTable, name, _refusal(name))


def _refusal(name: str) -> object:
    def refuse(cls: type, *arguments: object, **options: object) -> NoReturn:
        raise LabsError(
            f"DeltaTable.{name} can't be used in the lab: its Spark server doesn't know Delta's Python calls. Say it in SQL with "
            'spark.sql("..."): DESCRIBE HISTORY name for history(), DESCRIBE DETAIL name for detail(), CREATE TABLE for create(), '
            "and MERGE INTO, UPDATE, DELETE FROM, OPTIMIZE, VACUUM or RESTORE for the methods of these names; "
            "spark.table(name) is toDF()."
        )

    return classmethod(refuse)
