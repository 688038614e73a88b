"""A plan of Spark's as Door.java writes it: nodes with their kinds, places in the text, and fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_PACKAGE = "org.apache.spark.sql.catalyst."


@dataclass(frozen=True)
class Node:
    """`kind` is the class's name, without the package if that is Catalyst's; `start` and `end` are the first character and the one behind
    the last, -1 for none. `text` is a table's name or a type.
    """

    kind: str
    start: int = -1
    end: int = -1
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The class's name alone."""
        return self.kind.rpartition(".")[2]

    def walk(self) -> Iterator[Node]:
        """It and all nodes in it."""
        yield self
        for value in self.fields.values():
            yield from _nodes(value)

    def parts(self, name: str) -> list[str]:
        """A field that holds the parts of a name."""
        return [str(part) for part in self.fields[name]]


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield from value.walk()
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item)


def node(value: Any) -> Any:
    """Nodes, lists, strings and None of Door.java's JSON."""
    if isinstance(value, list):
        return [node(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {name.split(":", 1)[1]: node(item) for name, item in value.get("f", {}).items()}
    return Node(
        value["c"].removeprefix(_PACKAGE),
        value.get("s", -1),
        value.get("e", -2) + 1,
        value.get("t", ""),
        fields,
    )


_PART = re.compile(r"`((?:[^`]|``)+)`|(\w+)")
_DOT = re.compile(r"\s*\.\s*")


def name_end(text: str, start: int, parts: list[str]) -> int | None:
    """The place behind a name of these parts that begins there, written plainly; None if the text is not that (a comment in it, a literal)."""
    at = start
    for place, part in enumerate(parts):
        if place:
            dot = _DOT.match(text, at)
            if dot is None:
                return None
            at = dot.end()
        found = _PART.match(text, at)
        if found is None or (found[1].replace("``", "`") if found[1] else found[2]) != part:
            return None
        at = found.end()
    return at


def quoted(*parts: str) -> str:
    """A name of these parts as SQL."""
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)
