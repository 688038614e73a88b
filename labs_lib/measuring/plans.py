"""Spark's physical plan as a tree, read from the text that `explain` prints.

Source of the layout: `TreeNode.generateTreeString` (children behind `+- ` and `:- `, three characters a level).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

JOINS = (
    "SortMergeJoin",
    "ShuffledHashJoin",
    "BroadcastHashJoin",
    "BroadcastNestedLoopJoin",
    "CartesianProduct",
)
SHUFFLED_JOINS = ("SortMergeJoin", "ShuffledHashJoin")
_LINE = re.compile(r"^(?P<indent>(?:[ :]  )*(?:[+:]- )?)(?:\*\(\d+\) )?(?P<name>\w+)(?P<detail>.*)$")


@dataclass
class Operator:
    """One operator of a plan: its name, the rest of its line, and what feeds it."""

    name: str
    detail: str
    children: list[Operator] = field(default_factory=list)

    def walk(self) -> Iterator[Operator]:
        """This operator and all below it, from the top down."""
        yield self
        for child in self.children:
            yield from child.walk()

    def named(self, *names: str) -> list[Operator]:
        """The operators of these names, from the top down."""
        return [operator for operator in self.walk() if operator.name in names]

    @property
    def keys(self) -> tuple[str, ...]:
        """A join's key columns on its left side, without expression ids."""
        match = re.match(r" ?\[([^\]]*)\]", self.detail)
        return tuple(re.findall(r"(\w+)#\d+", match[1])) if match else ()

    def path_to(self, table: str) -> list[Operator]:
        """The operators from this one down to the scan of a table, both included; empty if it is not scanned below.

        A table that is scanned more than once gives the path to its first scan.
        """
        if self.name in {"FileScan", "BatchScan", "Scan"} and re.search(
            rf"[.\s]{re.escape(table)}\[", self.detail, re.IGNORECASE
        ):
            return [self]
        for child in self.children:
            if below := child.path_to(table):
                return [self, *below]
        return []


def parse(text: str) -> Operator:
    """The tree of the first physical plan in that text. Raises ValueError if there is none.

    What an operator holds beside its inputs, a cached plan or a subquery, stands two levels below it, before its inputs.
    """
    lines = text.partition("== Physical Plan ==")[2].strip("\n").splitlines()
    top: Operator | None = None
    open_operators: list[tuple[int, Operator]] = []  # by depth: those that a next line can stand below
    for line in lines:
        match = _LINE.match(line)
        if match is None or not line.strip():
            break
        depth = len(match["indent"]) // 3
        operator = Operator(match["name"], match["detail"])
        while open_operators and open_operators[-1][0] >= depth:
            open_operators.pop()
        if open_operators:
            open_operators[-1][1].children.append(operator)
        elif top is None:
            top = operator
        else:
            break  # another plan begins
        open_operators.append((depth, operator))
    if top is None:
        raise ValueError("there is no physical plan in that text")
    return top


def outline(operator: Operator) -> str:
    """A plan as indented text, without expression ids, plan ids and paths: the same from run to run."""
    lines: list[str] = []

    def add(node: Operator, lead: str, mark: str) -> None:
        lines.append(f"{lead}{mark}{node.name} {brief(node)}".rstrip())
        below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[mark]
        for place, child in enumerate(node.children):
            add(child, below, "└─ " if place == len(node.children) - 1 else "├─ ")

    add(operator, "", "")
    return "\n".join(lines)


def brief(operator: Operator) -> str:
    """What matters of an operator's line: a scan's table and columns, a join's keys, a shuffle's keys and partitions."""
    detail = re.sub(r"#\d+L?|, \[plan_id=\d+\]", "", operator.detail).strip()
    if operator.name == "FileScan":
        scan = re.match(r"\w+ (?:[\w.]+\.)?(\w+)\[([^\]]*)\]", detail)
        return f"{scan[1]} [{scan[2].replace(',', ', ')}]" if scan else ""
    if operator.name in JOINS:
        return f"[{', '.join(operator.keys)}]"
    if operator.name == "Exchange":
        return detail.split("), ")[0] + ")" if "), " in detail else detail
    if operator.name.endswith("Aggregate"):
        return detail.split(", functions=")[0].lstrip("(")
    if operator.name in {"BroadcastExchange", "AdaptiveSparkPlan", "ColumnarToRow"}:
        return ""
    return detail if len(detail) <= 90 else detail[:87] + "..."
