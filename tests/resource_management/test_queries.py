"""What the seeds draw of exercise 5a, and the week that a caching policy is played on: what it counts, and that each mistake shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from labs_lib.errors import LabsError
from labs_lib.measuring.spark_ui import Node, Run
from labs_lib.resource_management.queries.caching import (
    BLOCKS,
    Week,
    acts,
    best,
    cache_week,
    play,
    replay_week,
)
from labs_lib.resource_management.queries.pruning import KINDS, kinds
from labs_lib.resource_management.queries.reports import ILLNESSES, illnesses, proof
from labs_lib.resource_management.queries.tasks import operators, own_nodes

SEEDS = range(20)
BLOCK = {"bytes": 10, "files": 3, "tables": ["t"]}


def test_each_report_has_an_illness_of_its_own_and_seeds_differ() -> None:
    drawn = [illnesses(seed) for seed in SEEDS]
    assert all(len(set(each.values())) == 3 for each in drawn)
    assert set(ILLNESSES) == {illness for each in drawn for illness in each.values()}
    assert len({tuple(each.items()) for each in drawn}) > 5


def test_the_six_queries_are_the_same_in_another_order() -> None:
    drawn = [kinds(seed) for seed in SEEDS]
    assert all(sorted(each.values()) == sorted(KINDS) for each in drawn)
    assert len({tuple(each.items()) for each in drawn}) > 5


def _week(*events: Mapping[str, Any], budget: int = 100) -> Week:
    return Week({"a": BLOCK}, budget, [], [{"hour": 0.0, **event} for event in events])


ASKED, WRITTEN = {"query": "a"}, {"write": "t"}


def test_what_a_week_counts() -> None:
    def look(event: Mapping[str, Any], cached: list[str]) -> dict[str, list[str]]:
        return {"drop": cached} if "write" in event else {"cache": [] if cached else ["a"]}

    played = play(_week(ASKED, ASKED, WRITTEN, ASKED, ASKED), look)
    assert (played.queries, played.hits, played.stale) == (4, 4, 0)
    assert (played.without, played.read, played.caching, played.saved) == (12, 0, 6, 6)
    assert played.bytes == 10 and played.cached == {"a": 2}


def test_an_answer_from_before_a_write_is_stale_until_it_is_cached_again() -> None:
    events = _week(ASKED, WRITTEN, ASKED, ASKED)
    assert play(events, lambda event, cached: {} if cached else {"cache": ["a"]}).stale == 2
    assert play(events, lambda event, cached: {"cache": ["a"]}).stale == 0


@pytest.mark.parametrize("told", [[], {"keep": ["a"]}, {"drop": "a"}, {"cache": ["b"]}, {"cache": [["a"]]}])
def test_what_can_not_be_followed_is_said_in_a_sentence(told: object) -> None:
    if told == []:
        with pytest.raises(LabsError, match="dict with drop and cache"):
            acts(["a"], ["a"])
        return
    with pytest.raises(LabsError, match="`look`"):
        acts(told, ["a"])


def test_nothing_said_is_nothing_done() -> None:
    assert acts(None, ["a"]) == ([], []) == acts({"drop": None}, ["a"])


class _ByHistory:
    """Keeps the blocks that last week would have saved most files for each byte."""

    def __init__(self, budget: int, blocks: dict[str, Any], history: list[dict[str, Any]]) -> None:
        self.blocks = blocks
        alone = {name: self._saved(blocks, history, name) for name in blocks}
        self.chosen, left = set[str](), budget
        for name in sorted(blocks, key=lambda name: -alone[name] / blocks[name]["bytes"]):
            if blocks[name]["bytes"] <= left:
                self.chosen.add(name)
                left -= blocks[name]["bytes"]

    @staticmethod
    def _saved(blocks: dict[str, Any], history: list[dict[str, Any]], name: str) -> int:
        only = Week(blocks, 1 << 60, [], history)
        tables = blocks[name]["tables"]
        return play(
            only,
            lambda event, cached: {"drop": cached if event.get("write") in tables else [], "cache": [name] * (event.get("query") == name and not cached)},
        ).saved  # fmt: skip

    def look(self, event: dict[str, Any], cached: list[str]) -> dict[str, list[str]]:
        if "write" in event:
            return {"drop": [name for name in cached if event["write"] in self.blocks[name]["tables"]]}
        name = event["query"]
        return {"cache": [name] if name in self.chosen and name not in cached else []}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_week_can_be_served_well_within_its_budget(seed: int) -> None:
    week = cache_week(seed)
    assert set(week.blocks) == set(BLOCKS)
    played = replay_week(_ByHistory, week)
    assert played.stale == 0 and played.bytes <= week.budget
    assert 0.6 * best(week).saved < played.saved < played.without


def test_most_of_what_is_asked_most_comes_after_a_write() -> None:
    for seed in SEEDS:
        week = cache_week(seed)
        asked = {name: sum(event.get("query") == name for event in week.history) for name in week.blocks}
        most = max(asked, key=lambda name: asked[name] / week.blocks[name]["bytes"])
        saved = _ByHistory._saved(week.blocks, week.history, most)
        assert most == "open baskets" and saved < 0.6 * asked[most] * week.blocks[most]["files"]


def _run(*nodes: Node) -> Run:
    return Run("", "", (), nodes, "")


def test_what_delta_reads_of_its_log_is_none_of_a_query() -> None:
    own = Node(
        1, "Scan parquet spark_catalog.db.t", "", {"number of output rows": 5, "number of files read": 2}
    )
    top = Node(0, "Filter", "", {"number of output rows": 2})
    log = Node(3, "Scan ExistingRDD Delta Table State #0", "", {"number of output rows": 8})
    assert own_nodes(_run(own, top, log, Node(2, "Filter", "", {"number of output rows": 1}))) == [own, top]
    table = operators(_run(own, top, log))
    assert list(table["operator"]) == ["Scan parquet", "Filter"] and list(table["of"]) == ["t", ""]
    assert proof(_run(own, top), "cast") == ("Scan", 3)
