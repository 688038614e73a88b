"""Steps 2b.1 and 2b.2, dead letters and expectations: what a right answer is."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as types

import datasets
from datasets.feeds import dirty_sales
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.measuring import delta_log
from labs_lib.patterns.checks.states import departure, stray
from labs_lib.patterns.feeds import sales_batches

ACCEPTED, DEAD = "sales_accepted", "sales_dead_letter"
WHOLE, NUMBER, TIME, TEXT = "a whole number", "a number", "a timestamp", "text"
ACCEPTED_TYPES = {
    "line_id": WHOLE,
    "store_id": WHOLE,
    "product_id": WHOLE,
    "quantity": WHOLE,
    "sales_value": NUMBER,
    "sold_at": TIME,
    "batch_id": WHOLE,
}
DEAD_TYPES = {"raw": TEXT, "reason": TEXT, "batch_id": WHOLE, "failed_at": TIME}

CHECKED, METRICS = "sales_checked", "quality_metrics"
METRIC_TYPES = {
    "run": WHOLE,
    "dataset": TEXT,
    "rule": TEXT,
    "action": TEXT,
    "passed_records": WHOLE,
    "failed_records": WHOLE,
}
CHECKED_COLUMNS = (*sales_batches.SCHEMA.names, "department")
ACTIONS = {
    "usual_quantity": "warn",
    "known_product": "drop",
    "positive_value": "drop",
    "identified": "fail",
}
WRITTEN_RUNS = (1, 2)


def observe_2b_1(observer: Observer) -> dict[str, Any]:
    """Both tables against the feed: types, lines, reasons, batches, and the commits that brought the rows."""
    accepted, dead = (delta_log.content(observer.path(name)) for name in (ACCEPTED, DEAD))
    wrong_types = {
        ACCEPTED: _wrong_types(accepted, ACCEPTED_TYPES),
        DEAD: _wrong_types(dead, DEAD_TYPES),
    }
    if any(wrong_types.values()):
        return {"wrong_types": wrong_types}
    arrivals = dirty_sales.arrivals(observer.lab.seed)
    lines = [line for arrival in arrivals for line in arrival]
    records = {line.record["line_id"]: line.record for line in lines if line.record}
    good = Counter(record_id for record_id in accepted["line_id"].to_pylist())
    unchanged = sum(
        all(_same(row[key], records[row["line_id"]][key]) for key in dirty_sales.KEYS)
        for row in accepted.select(dirty_sales.KEYS).to_pylist()
        if row["line_id"] in records
    )
    found = Counter(zip(dead["raw"].to_pylist(), dead["reason"].to_pylist(), strict=True))
    wanted = Counter((line.raw, line.reason) for line in lines if line.reason)
    per_reason = {
        reason: sum(min(found[key], number) for key, number in wanted.items() if key[1] == reason)
        for reason in dirty_sales.REASONS
    }
    due = Counter(line.reason for line in lines if line.reason)
    all_raw = Counter(line.raw for line in lines if line.reason)
    of_batch = _batches(accepted, dead)
    return {
        "wrong_types": wrong_types,
        "input": len(lines),
        "accepted": accepted.num_rows,
        "dead": dead.num_rows,
        "good_due": len(records),
        "good": len(records.keys() & good.keys()),
        "good_twice": sum(number > 1 for number in good.values()),
        "not_good": len(good.keys() - records.keys()),
        "unchanged": unchanged,
        "dead_missing": (all_raw - Counter(dead["raw"].to_pylist())).total(),
        "dead_extra": (Counter(dead["raw"].to_pylist()) - all_raw).total(),
        "unclear": [reason for reason in dirty_sales.REASONS if per_reason[reason] != due[reason]],
        "unknown_reasons": len(
            {reason for reason in dead["reason"].to_pylist() if reason not in dirty_sales.REASONS}
        ),
        "no_batch": accepted["batch_id"].null_count + dead["batch_id"].null_count,
        "no_time": dead["failed_at"].null_count,
        "batches": len(of_batch),
        "batch_is_arrival": _is_arrivals(of_batch, arrivals),
        "commits": {name: _row_commits(observer.log(name)) for name in (ACCEPTED, DEAD)},
        "rows_of_batches": {
            name: sorted(Counter(table["batch_id"].to_pylist()).values())
            for name, table in ((ACCEPTED, accepted), (DEAD, dead))
        },
        "stray": {
            name: stray(observer.states(name), functools.partial(_holds_whole_batches, name, table))
            for name, table in ((ACCEPTED, accepted), (DEAD, dead))
        },
    }


def judge_2b_1(evidence: Evidence) -> Iterator[Finding]:
    """Every line is in one of the two tables, once, for the right reason, and came by a stream that may repeat a batch."""
    observed = evidence.observed
    wrong = [f"{table}: {text}" for table, texts in observed["wrong_types"].items() for text in texts]
    yield Finding(
        "columns and types",
        not wrong,
        "the columns that the task names, in their types",
        "those" if not wrong else "; ".join(wrong)[:300],
        "A column that stays text was never parsed. DESCRIBE TABLE shows what a table has.",
    )
    if wrong:
        yield Finding(
            "the rows",
            False,
            "every line of the feed in one of the two tables",
            "not looked at, for want of the columns",
            weight=6,
        )
        return
    lost = observed["input"] - observed["accepted"] - observed["dead"]
    each_once = not lost and not observed["good_twice"]
    yield Finding(
        "good + bad = input",
        each_once,
        "as many rows in both tables together as the feed has lines, and no line_id accepted twice",
        "so it is"
        if each_once
        else f"{observed['accepted']} + {observed['dead']} rows for {observed['input']} lines"
        + (f", {observed['good_twice']} line_ids accepted more than once" if observed["good_twice"] else ""),
        "Rows that are missing were filtered out on the way; a condition that is NULL is neither true nor false. Rows too many came with "
        "the batch that ran twice.",
    )
    all_good = (
        observed["good"] == observed["unchanged"] == observed["good_due"] == observed["accepted"]
        and not observed["not_good"]
    )
    yield Finding(
        "the good lines",
        all_good,
        f"every good line in {ACCEPTED}, with the values that it came with, and no other",
        "exactly those"
        if all_good
        else f"{observed['accepted']} rows for {observed['good_due']} good lines: {observed['good_due'] - observed['good']} missing, "
        f"{observed['not_good']} that are not good, {observed['accepted'] - observed['unchanged']} rows whose values differ from a good line's",
        "Compare a row with its line. A line that was damaged and came again, put right, is good; a line that came before is not.",
    )
    all_dead = not observed["dead_missing"] and not observed["dead_extra"]
    yield Finding(
        "the bad lines",
        all_dead,
        f"every bad line in {DEAD} under `raw`, as it came, and no other",
        "exactly those"
        if all_dead
        else f"{observed['dead_missing']} missing, {observed['dead_extra']} that do not belong there",
        "`raw` is the whole line, also where it could be parsed.",
    )
    clear = not observed["unclear"] and not observed["unknown_reasons"]
    yield Finding(
        "the reasons",
        clear,
        "for each bad line the first reason of the task's table that applies",
        "right for every line"
        if clear
        else f"not right for every line that is {', '.join(observed['unclear']) or 'bad'}"
        + (
            f"; {observed['unknown_reasons']} reasons that the task does not know"
            if observed["unknown_reasons"]
            else ""
        ),
        "CASE WHEN takes its branches in order. Look at the lines of one reason, and ask which earlier one may have taken some of them.",
        weight=2,
    )
    filled = not observed["no_batch"] and not observed["no_time"] and observed["batch_is_arrival"]
    yield Finding(
        "batch and time",
        filled,
        "batch_id and failed_at filled, and the lines of one file in one batch",
        "so it is"
        if filled
        else f"{observed['no_batch']} rows without batch_id, {observed['no_time']} without failed_at, "
        f"{observed['batches']} batches for {dirty_sales.ARRIVALS} files"
        + (
            ""
            if observed["batches"] != dirty_sales.ARRIVALS
            else ", some with lines that are not of one file"
        ),
        "`maxFilesPerTrigger` decides how many files a micro-batch takes. The function of foreachBatch gets the id of its batch.",
    )
    history_ok = all(
        _one_commit_per_batch(observed["commits"][name], observed["rows_of_batches"][name])
        for name in (ACCEPTED, DEAD)
    )
    halves = [f"{name}: {said}" for name, said in observed["stray"].items() if said]
    safe = all(commit["safe"] for name in (ACCEPTED, DEAD) for commit in observed["commits"][name])
    yield Finding(
        "one commit for each batch",
        history_ok and not halves,
        "in the history of both tables, a commit of its own for the rows of each batch",
        "so it is"
        if history_ok and not halves
        else "; ".join(halves)
        if history_ok
        else "; ".join(
            f"{name}: {len(observed['commits'][name])} commits with rows, {len(observed['rows_of_batches'][name])} batches"
            for name in (ACCEPTED, DEAD)
        ),
        "DESCRIBE HISTORY has the number of rows of each commit.",
    )
    yield Finding(
        "a batch may run twice",
        safe,
        "commits that carry the number of their batch as a transaction, or that replace or merge what is there",
        "so it is" if safe else "commits that simply append",
        "Delta's writer options `txnAppId` and `txnVersion` make a write that is repeated do nothing.",
    )


def observe_2b_2(observer: Observer) -> dict[str, Any]:
    """The metrics and the target against what the batches hold under this seed, and the target's commits."""
    target, metrics = (delta_log.content(observer.path(name)) for name in (CHECKED, METRICS))
    wrong_types = _wrong_types(metrics, METRIC_TYPES) + [
        f"{CHECKED} has no {name}" for name in CHECKED_COLUMNS if name not in target.column_names
    ]
    if wrong_types:
        return {"wrong_types": wrong_types}
    truth = _expected(observer.lab.seed)
    rows = [
        (row["run"], row["rule"], row["action"], row["passed_records"], row["failed_records"])
        for row in metrics.to_pylist()
        if row["dataset"] == CHECKED
    ]
    kept = Counter(_plain(row) for row in target.select(CHECKED_COLUMNS).to_pylist())
    due = {run: Counter(map(_plain, truth["kept"][run])) for run in WRITTEN_RUNS}
    wanted: Counter[Any] = sum((due[run] for run in WRITTEN_RUNS), Counter())
    return {
        "wrong_types": [],
        "datasets": len(set(metrics["dataset"].to_pylist())),
        "rules": {rule: _rule_problems(rule, rows, truth["counts"]) for rule in ACTIONS},
        "other_rules": len({row[1] for row in rows} - set(ACTIONS)),
        "missing": (wanted - kept).total(),
        "extra": (kept - wanted).total(),
        "rows": target.num_rows,
        "commits": [commit["rows"] for commit in _row_commits(observer.log(CHECKED))],
        "due_commits": [due[run].total() for run in WRITTEN_RUNS],
        "departs": departure(
            observer.states(CHECKED),
            [
                functools.partial(_holds_rows, sum((due[run] for run in WRITTEN_RUNS[:count]), Counter()))
                for count in range(1, len(WRITTEN_RUNS) + 1)
            ],
        ),
        "removed": _removes_rows(observer.log(CHECKED)),
    }


def judge_2b_2(evidence: Evidence) -> Iterator[Finding]:
    """Each rule counted under its action in all runs, the target as the two good runs leave it, the third without a trace in it."""
    observed = evidence.observed
    wrong = observed["wrong_types"]
    if wrong:
        yield Finding(
            "the columns",
            False,
            f"those that the task names for {CHECKED}, and for {METRICS} those that write_checked gives it",
            "; ".join(wrong)[:300],
            "`write_checked` makes both tables.",
        )
        return
    for rule, action in ACTIONS.items():
        problems = observed["rules"][rule]
        yield Finding(
            f"the metrics of {rule}",
            not problems,
            f"for each of the three runs a row of {CHECKED} with the action that the task's table means, and right counts",
            "right in every run" if not problems else "; ".join(problems)[:300],
            {
                "warn": "The condition has to be true for a record to pass; a NULL in it makes it fail.",
                "drop": "A rule can only count what reaches it: an inner join drops records before any rule sees them.",
                "fail": "The third run stops with an error, and its counts are kept all the same.",
            }[action],
        )
    same = not observed["missing"] and not observed["extra"]
    yield Finding(
        f"the rows of {CHECKED}",
        same,
        "those of runs 1 and 2 that the rules let through",
        "exactly those"
        if same
        else f"{observed['rows']} rows; {observed['missing']} are missing and {observed['extra']} do not belong there",
        "A rule that warns keeps its records. A batch with a record that breaks the fail rule leaves nothing.",
        weight=2,
    )
    commits = observed["commits"]
    counted = commits == observed["due_commits"] and not observed["removed"]
    departs = observed["departs"] if counted else ""
    once = counted and not departs
    yield Finding(
        f"the history of {CHECKED}",
        once,
        "one commit for each of the runs 1 and 2, and none of run 3",
        "so it is"
        if once
        else f"commits of such numbers of rows, but {departs}"
        if departs
        else "rows were taken out again"
        if observed["removed"]
        else f"{len(commits)} commits with rows: {', '.join(f'{rows}' for rows in commits[:5])} rows",
        "A rule that stops a run is checked before anything is written; cleaning up afterwards leaves a moment in which readers see the batch.",
    )
    if observed["other_rules"]:
        yield Finding(
            "other rules",
            False,
            f"the four rules of the task for {CHECKED}",
            f"{observed['other_rules']} more",
            "Drop both tables at the start of your answer, so that earlier tries leave nothing.",
        )


def _expected(seed: int) -> dict[str, Any]:
    """What the rules make of each batch: counts as (run, rule) → (passed, failed), and the rows that are kept."""
    products = datasets.build("products", seed).select(["product_id", "department"]).to_pylist()
    departments = {row["product_id"]: row["department"] for row in products}
    low, high = sales_batches.USUAL_QUANTITIES
    counts: dict[tuple[int, str], tuple[int, int]] = {}
    kept: dict[int, list[dict[str, Any]]] = {}
    for run, batch in sales_batches.batches(seed).items():
        rows = [row | {"department": departments.get(row["product_id"])} for row in batch.to_pylist()]
        holds = [
            {
                "usual_quantity": row["quantity"] is not None and low <= row["quantity"] <= high,
                "known_product": row["department"] is not None,
                "positive_value": row["sales_value"] is not None and row["sales_value"] > 0,
                "identified": row["line_id"] is not None,
            }
            for row in rows
        ]
        for rule in ACTIONS:
            passed = sum(each[rule] for each in holds)
            counts[run, rule] = (passed, len(rows) - passed)
        kept[run] = [
            row
            for row, each in zip(rows, holds, strict=True)
            if each["known_product"] and each["positive_value"]
        ]
    return {"counts": counts, "kept": kept}


def _rule_problems(
    rule: str, rows: Iterable[tuple[Any, ...]], counts: dict[tuple[int, str], tuple[int, int]]
) -> list[str]:
    """What is wrong with a rule's metrics, without the right figures."""
    problems = []
    for run in range(1, sales_batches.BATCHES + 1):
        of_run = [row for row in rows if row[0] == run and row[1] == rule]
        if len(of_run) != 1:
            problems.append(f"run {run}: {len(of_run)} rows")
            continue
        _, _, action, passed, failed = of_run[0]
        if action != ACTIONS[rule]:
            problems.append(f"run {run}: action {str(action)[:20]}")
        if (passed, failed) != counts[run, rule]:
            problems.append(
                f"run {run}: {passed} passed and {failed} failed, which is not what the batch holds"
            )
    return problems


def _wrong_types(table: pa.Table, wanted: dict[str, str]) -> list[str]:
    problems = []
    for name, kind in wanted.items():
        if name not in table.column_names:
            problems.append(f"no column {name}")
        elif _kind(table.schema.field(name).type) not in ({WHOLE, NUMBER} if kind == NUMBER else {kind}):
            problems.append(f"{name} is {_kind(table.schema.field(name).type)}, not {kind}")
    return problems


def _kind(kind: pa.DataType) -> str:
    if types.is_integer(kind):
        return WHOLE
    if types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_timestamp(kind):
        return TIME
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return TEXT
    return f"of type {kind}"[:60]


def _same(found: Any, wanted: Any) -> bool:
    """A value in a table against the one in the feed's text, whose times are ISO 8601."""
    if found is None:
        return False
    if isinstance(found, datetime):
        return found.strftime("%Y-%m-%dT%H:%M:%SZ") == wanted
    return abs(float(found) - float(wanted)) < 1e-9


def _plain(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row as something to count; numbers of any width are equal."""
    return tuple(
        None
        if value is None
        else value
        if isinstance(value, str)
        else str(value)
        if not isinstance(value, int | float)
        else float(value)
        for value in row.values()
    )


def _batches(accepted: pa.Table, dead: pa.Table) -> dict[Any, tuple[Counter[Any], Counter[Any]]]:
    """Per batch id, the line_ids that were accepted and the texts that were not."""
    made: dict[Any, tuple[Counter[Any], Counter[Any]]] = {}
    for place, (table, column) in enumerate(((accepted, "line_id"), (dead, "raw"))):
        for batch, value in zip(table["batch_id"].to_pylist(), table[column].to_pylist(), strict=True):
            made.setdefault(batch, (Counter(), Counter()))[place][value] += 1
    return made


def _holds_whole_batches(name: str, final: pa.Table, rows: pa.Table) -> bool:
    """Whether rows of a table's earlier version are those that the final one has of the same batches."""
    keys = [
        column for column in (ACCEPTED_TYPES if name == ACCEPTED else DEAD_TYPES) if column != "failed_at"
    ]
    held, whole = (Counter(map(_plain, table.select(keys).to_pylist())) for table in (rows, final))
    batches = {row[-1] for row in held}
    return held == Counter({row: number for row, number in whole.items() if row[-1] in batches})


def _holds_rows(wanted: Counter[Any], rows: pa.Table) -> bool:
    return Counter(map(_plain, rows.select(CHECKED_COLUMNS).to_pylist())) == wanted


def _is_arrivals(
    batches: dict[Any, tuple[Counter[Any], Counter[Any]]], arrivals: tuple[tuple[dirty_sales.Line, ...], ...]
) -> bool:
    """Whether each batch holds lines of one arrival only, and each arrival is one batch."""
    texts = [{line.raw for line in lines} for lines in arrivals]
    numbers = [
        {json.loads(line.raw)["line_id"] for line in lines if line.reason in {"", "duplicate"}}
        for lines in arrivals
    ]
    owners = [
        {
            place
            for place in range(len(arrivals))
            if good.keys() <= numbers[place] and bad.keys() <= texts[place]
        }
        for good, bad in batches.values()
    ]
    return len(batches) == len(arrivals) and all(owners) and set.union(*owners) == set(range(len(arrivals)))


def _one_commit_per_batch(commits: list[dict[str, Any]], batches: list[int]) -> bool:
    """Whether the rows of each batch came in one commit; a batch that ran twice may have two."""
    missing = Counter(batches) - Counter(commit["rows"] for commit in commits)
    return not missing and len(batches) <= len(commits) <= len(batches) + 1


def _row_commits(table: Path) -> list[dict[str, Any]]:
    """The commits that put rows into a table, oldest first: how many rows, and whether repeating such a commit is safe.

    It is if the commit names its batch as a transaction (Delta protocol, "Transaction Identifiers"), merges, or replaces rows.
    """
    found = []
    for file in sorted((table / "_delta_log").glob("*.json")):
        actions = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        info: dict[str, Any] = next(
            (action["commitInfo"] for action in actions if "commitInfo" in action), {}
        )
        metrics = info.get("operationMetrics") or {}
        merged = info.get("operation") == "MERGE"
        rows = int(metrics.get("numTargetRowsInserted" if merged else "numOutputRows", 0))
        changes_data = any(action.get("add", {}).get("dataChange") for action in actions)
        if rows and changes_data:
            replaces = "predicate" in (info.get("operationParameters") or {}) and info["operation"] == "WRITE"
            found.append(
                {"rows": rows, "safe": merged or replaces or any("txn" in action for action in actions)}
            )
    return found


def _removes_rows(table: Path) -> bool:
    """Whether some commit took rows out of a table again."""
    for file in (table / "_delta_log").glob("*.json"):
        for line in file.read_text().splitlines():
            if line.strip() and json.loads(line).get("remove", {}).get("dataChange"):
                return True
    return False
