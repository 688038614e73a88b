"""Exercise 1b, Delta layout: what a right answer is."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from typing import Any

from labs_lib.checking import pipeline_source
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.measuring import delta_log, layout
from labs_lib.measuring.delta_log import TableFacts

FILES_FACTOR = 0.7  # the task's factor; a leading column in front reaches 0.46 to 0.64, any other layout stays above 0.79
SMALLEST_MEAN_FILE = 64 * 2**10  # bytes; the task's file size is 256 KiB, a partition per day gives about 40
LOG_RETENTION, FILE_RETENTION = "interval 30 days", "interval 7 days"
WINDOW = 7 * 24 * 60 * 60 * 1000  # milliseconds; how long a removed file is kept


def judge_1b_1(evidence: Evidence) -> Iterator[Finding]:
    """The table is compared with the solution's; its shape is said in words first."""
    wanted = {"filter_column", "queries", "share", "selectivity"}
    columns = set(evidence.answers["query_patterns"]["columns"])
    yield Finding(
        "the columns",
        columns == wanted,
        ", ".join(sorted(wanted)),
        ", ".join(sorted(columns)) or "none",
        "Names count, their order does not.",
    )


def observe_1b_2(observer: Observer) -> dict[str, Any]:
    """What the log and the engine say of the layout that was chosen."""
    facts = observer.facts("sales_layout")
    return _layout(observer, facts) | {
        "optimized": [_columns(c, "zOrderBy") for c in facts.operations("OPTIMIZE")]
    }


def judge_1b_2(evidence: Evidence) -> Iterator[Finding]:
    """Optimized, not cut into crumbs, and worth it for the queries of the log."""
    observed = evidence.observed
    yield Finding(
        "OPTIMIZE in the table's history",
        bool(observed["optimized"]) or bool(observed["clustering_columns"]),
        "at least one",
        "there" if observed["optimized"] else "none",
        "DESCRIBE HISTORY lists each commit with its operation.",
    )
    mean = observed["size"] // max(observed["files"], 1)
    yield Finding(
        "the size of its files",
        mean >= SMALLEST_MEAN_FILE,
        f"{SMALLEST_MEAN_FILE // 2**10} KiB on average, or more",
        "large enough"
        if mean >= SMALLEST_MEAN_FILE
        else f"{observed['files']} files of {mean // 2**10} KiB on average",
        "A partition column with many values makes a file for each of them, and no OPTIMIZE can join files across partitions.",
    )
    yield from _files_opened(observed)


def observe_1b_3(observer: Observer) -> dict[str, Any]:
    """Clustering columns now, and the order of events in the history."""
    facts = observer.facts("sales_clustered")
    wanted = layout.leading_columns(observer.sales_queries, but=("transaction_date",))[:2]
    history = [
        {"operation": commit["operation"], "columns": _columns(commit, "clusterBy")}
        for commit in reversed(facts.history)
        if commit["operation"] in {"OPTIMIZE", "CLUSTER BY"}
    ]
    return _layout(observer, facts) | {"wanted": wanted, "events": history}


def judge_1b_3(evidence: Evidence) -> Iterator[Finding]:
    """Clustered, optimized, given other keys, and optimized again by those."""
    observed = evidence.observed
    now, wanted = observed["clustering_columns"], observed["wanted"]
    yield Finding(
        "the clustering columns",
        set(now) == set(wanted),
        "the two columns, apart from the date, that the query log filters by most",
        ", ".join(now) or "none",
        "Your answer to 1b.1 has them.",
        weight=2,
    )
    events = observed["events"]
    names = [event["operation"] for event in events]
    changed = max((place for place, name in enumerate(names) if name == "CLUSTER BY"), default=None)
    yield Finding(
        "the change of keys",
        changed is not None and "OPTIMIZE" in names[:changed],
        "an OPTIMIZE by the first keys, then ALTER TABLE … CLUSTER BY",
        " → ".join(names) or "neither OPTIMIZE nor ALTER TABLE … CLUSTER BY",
        "The table's history should tell the story: created with one key, optimized, altered, optimized again.",
    )
    after = events[changed + 1 :] if changed is not None else []
    by_new_keys = any(
        event["operation"] == "OPTIMIZE" and set(event["columns"]) == set(now) for event in after
    )
    yield Finding(
        "OPTIMIZE after the change",
        by_new_keys,
        "one, by the new keys",
        "there" if by_new_keys else "none",
        "Altering the keys rewrites nothing.",
    )
    yield from _files_opened(observed)


def observe_1b_4(observer: Observer) -> dict[str, Any]:
    """What the pipeline's file defines, and the refreshes in the view's history."""
    source = observer.answer("pipeline_file")["text"]
    facts = observer.facts("daily_sales")
    return {
        "views": pipeline_source.datasets(source, "materialized_view"),
        "operations": [commit["operation"] for commit in reversed(facts.history)],
        "feed_rows": observer.facts("sales_feed").rows,
        "all_rows": observer.facts("transactions").rows,
    }


def judge_1b_4(evidence: Evidence) -> Iterator[Finding]:
    """A pipeline defines the view; it was refreshed once the feed was complete."""
    observed = evidence.observed
    yield Finding(
        "the pipeline file",
        "daily_sales" in observed["views"],
        "a function `daily_sales` decorated with `materialized_view`",
        ", ".join(observed["views"]) or "no materialized view",
        "`from pyspark import pipelines as dp`, then `@dp.materialized_view` above the function.",
    )
    operations = observed["operations"]
    # A refresh of Spark 4.2 empties the table and fills it again; a view made by CREATE TABLE AS has none.
    first = operations.index("WRITE") if "WRITE" in operations else len(operations)
    refreshed = "TRUNCATE" in operations[first:] and operations[-1] == "WRITE"
    yield Finding(
        "the refresh",
        refreshed,
        "a first run of the pipeline and a second one, which empties the view and fills it again",
        "there" if refreshed else " → ".join(operations)[:120],
        "`run_pipeline` runs it; the second run belongs after the new rows.",
    )
    complete = observed["feed_rows"] == observed["all_rows"]
    yield Finding(
        "the new rows in `sales_feed`",
        complete,
        "every row of the transactions, each once",
        "they are in" if complete else f"{observed['feed_rows']:,} of {observed['all_rows']:,} rows",
        "Insert the weeks after the 40th, once.",
    )


def observe_1b_5(observer: Observer) -> dict[str, Any]:
    """Properties, VACUUM's entries in the history, and which versions still have all their files."""
    facts = observer.facts("sales_retention")
    folder = observer.path("sales_retention")
    vacuums = facts.operations("VACUUM START")
    when = {commit["version"]: commit["timestamp"] for commit in facts.history}
    written = sorted(commit["version"] for commit in facts.operations("WRITE"))
    border = time.time() * 1000 - WINDOW
    return {
        "properties": facts.properties,
        "vacuumed": bool(facts.operations("VACUUM END")),
        "deleted": [int(commit.get("operationMetrics", {}).get("numFilesToDelete", 0)) for commit in vacuums],
        "deleted_bytes": [
            int(commit.get("operationMetrics", {}).get("sizeOfDataToDelete", 0)) for commit in vacuums
        ],
        "complete": [version for version in written if delta_log.has_its_files(folder, version)],
        "inside": [version for version in written if when[version] > border],
        # Files go when the window has passed since the commit that replaced them; the newest version's never do.
        "replaced_inside": [
            v
            for v, after in zip(written, [*written[1:], None], strict=True)
            if after is None or when[after] > border
        ],
    }


def judge_1b_5(evidence: Evidence) -> Iterator[Finding]:
    """Both windows set, the dry run read right, and the files of the window still there while older ones are gone."""
    observed, answers = evidence.observed, evidence.answers
    for key, wanted in (
        ("delta.logRetentionDuration", LOG_RETENTION),
        ("delta.deletedFileRetentionDuration", FILE_RETENTION),
    ):
        found = observed["properties"].get(key, "not set")
        yield Finding(
            key,
            _days(found) == _days(wanted),
            f"'{wanted}'",
            f"'{found}'",
            "ALTER TABLE … SET TBLPROPERTIES ('name' = 'interval N days').",
        )
    counted = answers["dry_run"].get("files")
    real = max(observed["deleted"], default=0)
    yield Finding(
        "the dry run",
        counted == real > 0,
        "`files`: how many files VACUUM … DRY RUN listed, the ones that the real VACUUM then deleted",
        "that many"
        if counted == real > 0
        else f"{counted} in your answer, {real} deleted according to the history",
        "Ask for the dry run after the properties are set and before the VACUUM, and count its rows.",
    )
    complete = set(observed["complete"])
    kept = set(observed["replaced_inside"]) <= complete
    gone = observed["vacuumed"] and complete <= set(observed["replaced_inside"])
    yield Finding(
        "inside the window",
        kept,
        "every version that was current in the last seven days has its files",
        "they are there" if kept else "some of these versions have lost files",
        "VACUUM with fewer hours than the window deletes what a running query or a time travel may need. Run the cell that lays the table, then yours again.",
    )
    yield Finding(
        "outside the window",
        gone,
        "VACUUM has deleted the files of all older versions",
        "gone"
        if gone
        else "older versions still have their files"
        if observed["vacuumed"]
        else "no VACUUM in the history",
        "The dry run deletes nothing; the real command follows it.",
    )
    yield Finding(
        "`oldest_readable`",
        answers["oldest_readable"] == min(observed["inside"]),
        "the lowest version number that `VERSION AS OF` still reads",
        f"version {answers['oldest_readable']}",
        "Try the versions from 0 on: outside the window the query raises an error.",
    )


def _layout(observer: Observer, facts: TableFacts) -> dict[str, Any]:
    queries = observer.sales_queries
    return {
        "files": facts.files,
        "size": facts.size,
        "clustering_columns": list(facts.clustering_columns),
        "opened": layout.files_opened(observer.path(observer.step.answers[0].name), queries),
        "opened_before": layout.files_opened(observer.path("transactions"), queries),
    }


def _files_opened(observed: dict[str, Any]) -> Iterator[Finding]:
    ratio = observed["opened"] / observed["opened_before"]
    yield Finding(
        "files that the log's queries open",
        ratio <= FILES_FACTOR,
        f"at most {FILES_FACTOR:.0%} of the share that they open in `transactions`",
        "few enough" if ratio <= FILES_FACTOR else f"{ratio:.0%} of it",
        "Which column do most queries filter by? Files can be skipped by it only if each file holds a narrow range of it.",
        weight=2,
    )


def _columns(commit: dict[str, Any], parameter: str) -> list[str]:
    """The columns that an OPTIMIZE commit names under `zOrderBy` or `clusterBy`; the log has them as JSON in a string."""
    text = commit.get("operationParameters", {}).get(parameter, "[]")
    try:
        columns = ast.literal_eval(text) if isinstance(text, str) else text
    except (SyntaxError, ValueError):
        return []
    return [str(column).lower() for column in columns]


def _days(interval: str) -> int:
    """Days of a Delta interval such as `interval 30 days` or `interval 4 weeks`; -1 for what is none."""
    words = interval.lower().replace("interval", "").split()
    factor = {"day": 1, "days": 1, "week": 7, "weeks": 7}.get(words[1] if len(words) == 2 else "", 0)
    if len(words) == 2 and words[1] in {"hour", "hours"} and words[0].isdecimal() and int(words[0]) % 24 == 0:
        return int(words[0]) // 24
    return int(words[0]) * factor if factor and words[0].isdecimal() else -1
