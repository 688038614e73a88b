"""YAML as a tree whose every part knows its file and line, from an author who may be anybody: bounded in size, depth and what aliases make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from labs_lib.errors import LabsError

MOST_BYTES, MOST_PARTS, DEEPEST = 200_000, 20_000, 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {
    word: value
    for words, value in (
        (("", "~", "null", "Null", "NULL"), None),
        (("true", "True", "TRUE"), True),
        (("false", "False", "FALSE"), False),
    )
    for word in words
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_EVENTS = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)


class BundleError(LabsError):
    """What is wrong with a bundle, with file and line where it has one."""


@dataclass(frozen=True)
class Spot:
    """Where something stands."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


@dataclass(frozen=True)
class Node:
    """A part of a document: a dict of nodes by key, a list of nodes, or a plain value."""

    value: Any
    at: Spot

    def child(self, key: str) -> Node | None:
        """What a mapping has under a key."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if isinstance(found, Node) else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and parts of a mapping; nothing of anything else."""
        yield from self.value.items() if isinstance(self.value, dict) else ()

    def scalars(self) -> Iterator[Node]:
        """All plain values below."""
        if isinstance(self.value, dict | list):
            for each in self.value.values() if isinstance(self.value, dict) else self.value:
                yield from each.scalars()
        else:
            yield self

    def plain(self) -> Any:
        """The same without places."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        return [each.plain() for each in self.value] if isinstance(self.value, list) else self.value


def kind(value: Any) -> str:
    """What people call a value in YAML."""
    names = {
        dict: "mapping",
        list: "list",
        bool: "true or false",
        int: "number",
        float: "number",
        str: "text",
    }
    return names.get(type(value), "nothing")


def read(text: str, file: str) -> Node:
    """A file's only document. Raises BundleError with the line of what is wrong."""
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise BundleError(
            f"{file} has more than {MOST_BYTES:,} bytes, which is more than a bundle's file needs."
        )
    try:
        return _Reading(file).document(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BundleError(
            f"{Spot(file, mark.line + 1 if mark else 1)}: this is no YAML: {error.problem}."
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BundleError(f"{file} is no YAML: {str(error).splitlines()[0]}.") from None


class _Reading:
    def __init__(self, file: str) -> None:
        self.file = file
        self.parts = 0
        self.anchors: dict[str, tuple[Node, int]] = {}
        # What is open: the container, the key that waits for its value, the anchor, and how many parts there were before.
        self.open: list[tuple[dict[str, Node] | list[Node], Node | None, str | None, Spot, int]] = []
        self.root: Node | None = None

    def document(self, text: str) -> Node:
        documents = 0
        for event in yaml.parse(text, Loader=_LOADER):
            spot = Spot(self.file, event.start_mark.line + 1 if event.start_mark else 1)
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise BundleError(f"{spot}: a second document begins; a bundle's file holds one.")
            elif isinstance(event, yaml.ScalarEvent):
                self._count(1, spot)
                plain = event.implicit[0] and event.tag is None
                self._refuse_tag(event, spot)
                node = Node(_scalar(event.value) if plain else event.value, spot)
                self._anchored(event.anchor, node, 1)
                self._put(node)
            elif isinstance(event, yaml.AliasEvent):
                node, size = self._anchor(str(event.anchor), spot)
                self._count(size, spot)
                self._put(replace(node, at=spot) if not isinstance(node.value, dict | list) else node)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._count(1, spot)
                self._refuse_tag(event, spot)
                if len(self.open) >= DEEPEST:
                    raise BundleError(f"{spot}: this is nested more than {DEEPEST} levels deep.")
                container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
                self.open.append((container, None, event.anchor, spot, self.parts))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                container, _, anchor, begun, before = self.open.pop()
                node = Node(container, begun)
                self._anchored(anchor, node, self.parts - before + 1)
                self._put(node)
            elif not isinstance(event, _EVENTS):
                raise BundleError(f"{spot}: this is not understood.")
        return self.root or Node({}, Spot(self.file, 1))

    def _put(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        container, key, anchor, spot, before = self.open[-1]
        if isinstance(container, list):
            container.append(node)
        elif key is None:
            if isinstance(node.value, dict | list):
                raise BundleError(f"{node.at}: a key is a word, and this is a {kind(node.value)}.")
            name = _text(node.value)
            if name == "<<":
                raise BundleError(
                    f"{node.at}: the merge key << is not taken; say it with a complex variable."
                )
            if first := container.get(name):
                raise BundleError(
                    f"{node.at}: {name!r} stands here for the second time; the first is in line {first.at.line}."
                )
            self.open[-1] = (container, Node(name, node.at), anchor, spot, before)
        else:
            # A part is where its key is: that is the line to look at. A plain value stands beside it.
            container[str(key.value)] = replace(node, at=key.at)
            self.open[-1] = (container, None, anchor, spot, before)

    def _anchored(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor:
            self.anchors[anchor] = (node, size)

    def _anchor(self, name: str, spot: Spot) -> tuple[Node, int]:
        if name not in self.anchors:
            raise BundleError(f"{spot}: the alias *{name} has no anchor &{name} that ends before it.")
        return self.anchors[name]

    def _count(self, parts: int, spot: Spot) -> None:
        self.parts += parts
        if self.parts > MOST_PARTS:
            raise BundleError(
                f"{spot}: with all aliases written out this has more than {MOST_PARTS:,} parts."
            )

    def _refuse_tag(self, event: Any, spot: Spot) -> None:
        if event.tag not in (
            None,
            "!",
            "tag:yaml.org,2002:str",
            "tag:yaml.org,2002:map",
            "tag:yaml.org,2002:seq",
        ):
            raise BundleError(f"{spot}: the tag {event.tag} is not taken; a bundle is plain YAML.")


def _scalar(text: str) -> Any:
    """As YAML 1.2 and Go read it: `on` and `yes` are words."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _text(value: Any) -> str:
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, str)
        else value
    )
