"""A log of analysts' queries whose filter columns, and how often each is used, depend on the seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from datasets import variation

QUERIES = 2_000
USERS = ("amara", "bo", "chen", "dana", "emeka", "farah", "goran", "hana")
# Columns that can lead, by how a query on them looks; the seed decides which of them does.
LEADERS = ("product_id", "store_id", "household_id")
SHARES = (0.55, 0.25, 0.06)  # of all queries, for the leaders in the seed's order
DATE_SHARE = 0.2  # half of it: of the queries on a leader, how many also filter on a range of dates
SELECTS = (
    "SELECT sum(sales_value) FROM transactions WHERE {}",
    "SELECT count(*) FROM transactions WHERE {}",
    "SELECT week, sum(quantity) FROM transactions WHERE {} GROUP BY week",
    "SELECT avg(retail_disc) FROM transactions WHERE {}",
)


def build(lines: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The log for the transactions of that seed: query_id, user, started_at, duration_ms, sql_text.

    Every predicate is `column = value`, or `transaction_date BETWEEN DATE'…' AND DATE'…'`, joined by ` AND `.
    """
    draw = variation.generator(seed, "query log")
    leaders = [LEADERS[position] for position in draw.permutation(len(LEADERS))]
    edges = np.cumsum(SHARES)
    values = {column: lines[column].to_numpy()[draw.integers(0, len(lines), QUERIES)] for column in LEADERS}
    first_day = pd.Timestamp(lines.transaction_date.min())
    days = (pd.Timestamp(lines.transaction_date.max()) - first_day).days
    texts = []
    for number in range(QUERIES):
        predicates = []
        kind = int(np.searchsorted(edges, draw.random(), side="right"))
        if kind < len(leaders):
            predicates.append(f"{leaders[kind]} = {values[leaders[kind]][number]}")
        if not predicates or draw.random() < DATE_SHARE / 2:
            start = first_day + pd.Timedelta(days=int(draw.integers(0, days - 30)))
            end = start + pd.Timedelta(days=int(draw.integers(6, 31)))
            predicates.append(f"transaction_date BETWEEN DATE'{start:%Y-%m-%d}' AND DATE'{end:%Y-%m-%d}'")
        texts.append(SELECTS[int(draw.integers(0, len(SELECTS)))].format(" AND ".join(predicates)))
    started = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(
        np.sort(draw.integers(0, 5 * 86_400, QUERIES)), unit="s"
    )
    return pd.DataFrame(
        {
            "query_id": np.arange(1, QUERIES + 1),
            "user": draw.choice(USERS, QUERIES),
            "started_at": started,
            "duration_ms": draw.lognormal(8.0, 0.8, QUERIES).astype(np.int64),
            "sql_text": texts,
        }
    )
