"""Applies a batch of changes to the tables of a flow with MERGE: see `labs_lib.patterns.cdc`, which reads the changes.

This runs in a process of the server's own for every stream, so it imports little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

SEQUENCE = "__sequence"  # in the target: of the newest change that its row holds
DELETED, REJECTED = "__deleted", "__rejected"  # of a change, on its way to the target
START, END = "__START_AT", "__END_AT"  # of a version, in a target of type 2
REASON = "a key or the sequence is null"
_COUNTS = f"""
    SELECT count({REJECTED}) AS rejected, count_if({REJECTED} IS NULL AND {DELETED}) AS deletes, count_if({REJECTED} IS NULL) AS fit
    FROM cdc_batch"""


@dataclass(frozen=True)
class Flow:
    """How changes are applied. Table names are complete; `columns` are those of the target that the source has, keys among them.

    `tracked` columns start a new version of type 2 when they change; the others are overwritten in the newest version.
    """

    target: str
    tombstones: str
    rejected: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    tracked: tuple[str, ...]
    scd_type: int


def apply_batch(flow: Flow, batch: DataFrame, batch_id: int = 0) -> None:
    """Apply one batch of prepared changes; doing it again changes nothing. Runs on the server, as a stream's foreachBatch.

    `batch` has the flow's columns, `__sequence`, `__deleted` (boolean) and `__rejected` (the change as JSON, or null if it can be applied).
    """
    spark = batch.sparkSession
    batch = batch.persist()
    try:
        batch.createOrReplaceTempView("cdc_batch")
        (found,) = spark.sql(_COUNTS).collect()
        if found.rejected:
            spark.sql(_reject(flow))
        if found.deletes:
            spark.sql(_bury(flow))
        if found.fit:
            spark.sql(_merge_newest(flow) if flow.scd_type == 1 else _merge_versions(flow))
    finally:
        spark.catalog.dropTempView("cdc_batch")
        batch.unpersist()


def _reject(flow: Flow) -> str:
    return f"""
        MERGE INTO {flow.rejected} AS t
        USING (SELECT DISTINCT '{REASON}' AS reason, {REJECTED} AS change FROM cdc_batch WHERE {REJECTED} IS NOT NULL) AS s
        ON t.change = s.change
        WHEN NOT MATCHED THEN INSERT *"""


def _bury(flow: Flow) -> str:
    return f"""
        MERGE INTO {flow.tombstones} AS t
        USING (SELECT DISTINCT {_names(flow.keys)}, {SEQUENCE} FROM cdc_batch WHERE {REJECTED} IS NULL AND {DELETED}) AS s
        ON {_equal(flow.keys, "t", "s")} AND t.{SEQUENCE} = s.{SEQUENCE}
        WHEN NOT MATCHED THEN INSERT *"""


def _merge_newest(flow: Flow) -> str:
    """Type 1: the newest change per key, unless a tombstone is as new or the target's row newer."""
    assignments = ", ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in (*flow.columns, SEQUENCE))
    names = _names((*flow.columns, SEQUENCE))
    return f"""
        MERGE INTO {flow.target} AS t
        USING (
            SELECT s.* FROM (
                SELECT * FROM (
                    SELECT *, row_number() OVER (PARTITION BY {_names(flow.keys)} ORDER BY {SEQUENCE} DESC, {DELETED} DESC) AS __place
                    FROM cdc_batch WHERE {REJECTED} IS NULL
                ) WHERE __place = 1
            ) AS s
            LEFT ANTI JOIN {flow.tombstones} AS d
            ON {_equal(flow.keys, "d", "s")} AND NOT s.{DELETED} AND d.{SEQUENCE} >= s.{SEQUENCE}
        ) AS s
        ON {_equal(flow.keys, "t", "s")}
        WHEN MATCHED AND s.{DELETED} AND s.{SEQUENCE} >= t.{SEQUENCE} THEN DELETE
        WHEN MATCHED AND NOT s.{DELETED} AND s.{SEQUENCE} > t.{SEQUENCE} THEN UPDATE SET {assignments}
        WHEN NOT MATCHED AND NOT s.{DELETED} THEN INSERT ({names}) VALUES ({_names((*flow.columns, SEQUENCE), "s")})"""


def _merge_versions(flow: Flow) -> str:
    """Type 2: the history of each key in the batch, built anew from its versions, its tombstones and its changes.

    A version stands for the change that began it and, if others followed that changed no tracked column, for the last of them.
    """
    keys, columns = _names(flow.keys), _names(flow.columns)
    order = f"(PARTITION BY {keys} ORDER BY __at)"
    tracked = f"struct({_names(flow.tracked)})"
    whole = (*flow.columns, SEQUENCE, START, END)
    no_values = ", ".join(quoted(n) if n in flow.keys else f"null AS {quoted(n)}" for n in flow.columns)
    same = " AND ".join(f"t.{quoted(n)} <=> s.{quoted(n)}" for n in (*flow.columns, SEQUENCE, END))
    last = ", ".join(
        quoted(n) if n in flow.keys else f"max_by({quoted(n)}, __at) AS {quoted(n)}" for n in flow.columns
    )
    return f"""
        MERGE INTO {flow.target} AS t
        USING (
        WITH touched AS (SELECT DISTINCT {keys} FROM cdc_batch WHERE {REJECTED} IS NULL),
        existing AS (SELECT v.* FROM {flow.target} AS v LEFT SEMI JOIN touched AS k ON {_equal(flow.keys, "v", "k")}),
        events AS (
            SELECT {columns}, {SEQUENCE} AS __at, {DELETED} AS __gone, 1 AS __rank FROM cdc_batch WHERE {REJECTED} IS NULL
            UNION ALL SELECT {columns}, {START}, false, 0 FROM existing
            UNION ALL SELECT {columns}, {SEQUENCE}, false, 0 FROM existing WHERE {SEQUENCE} > {START}
            UNION ALL SELECT {no_values}, {SEQUENCE}, true, 0 FROM {flow.tombstones} AS d LEFT SEMI JOIN touched AS k ON {_equal(flow.keys, "d", "k")}
        ),
        ordered AS (
            SELECT *, lag(__gone) OVER {order} AS __gone_before, lag({tracked}) OVER {order} AS __before FROM (
                SELECT *, row_number() OVER (PARTITION BY {keys}, __at ORDER BY __gone DESC, __rank) AS __place FROM events
            ) WHERE __place = 1
        ),
        numbered AS (
            SELECT *, sum(CASE WHEN NOT __gone AND NOT __gone_before AND __before <=> {tracked} THEN 0 ELSE 1 END) OVER {order} AS __number
            FROM ordered
        ),
        grouped AS (
            SELECT {last}, max(__at) AS {SEQUENCE}, min(__at) AS {START}, bool_or(__gone) AS __gone
            FROM numbered GROUP BY {keys}, __number
        ),
        versions AS (
            SELECT * FROM (SELECT *, lead({START}) OVER (PARTITION BY {keys} ORDER BY {START}) AS {END} FROM grouped) WHERE NOT __gone
        )
            SELECT {_names(whole)}, false AS __gone FROM versions
            UNION ALL
            SELECT {_names(whole, "e")}, true FROM existing AS e
            LEFT ANTI JOIN versions AS v ON {_equal(flow.keys, "v", "e")} AND v.{START} = e.{START}
        ) AS s
        ON {_equal(flow.keys, "t", "s")} AND t.{START} = s.{START}
        WHEN MATCHED AND s.__gone THEN DELETE
        WHEN MATCHED AND NOT ({same}) THEN UPDATE SET {", ".join(f"t.{quoted(n)} = s.{quoted(n)}" for n in whole)}
        WHEN NOT MATCHED THEN INSERT ({_names(whole)}) VALUES ({_names(whole, "s")})"""


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _names(names: Sequence[str], alias: str = "") -> str:
    return ", ".join(f"{alias}.{quoted(name)}" if alias else quoted(name) for name in names)


def _equal(names: Sequence[str], left: str, right: str) -> str:
    return " AND ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name in names)
