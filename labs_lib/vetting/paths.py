"""Reads of the lab's own tables by their path, as reads by name: a path means nothing on another machine, and a name does.

It is done in the learner's process and nothing is believed of it: grading refuses plans that read a path, whoever wrote them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from google.protobuf.message import Message

from labs_lib.vetting.sql import READ_OPTIONS, name_at, tokens_of
from labs_lib.vetting.text import Rejected

MESSAGES = 100_000  # a plan with more of them is refused anyway

_NAME = re.compile(r"[a-z_]\w*", re.ASCII)
_TEXTS = {
    "spark.connect.SQL": "query",
    "spark.connect.Expression.ExpressionString": "expression",
}


def by_name(root: Message, tables: Path, database: str) -> None:
    """Change a plan, relation or command in place: reads of Delta tables in the folder `tables` become reads of `database`.<name>."""
    pending: list[Any] = [root]
    for _ in range(MESSAGES):
        if not pending:
            return
        message = pending.pop()
        kind = message.DESCRIPTOR.full_name
        if kind == "spark.connect.Read" and message.WhichOneof("read_type") == "data_source":
            _read_by_name(message, tables, database)
        elif kind in _TEXTS:
            text = getattr(message, _TEXTS[kind])
            if (named := text_by_name(text, tables, database)) != text:
                setattr(message, _TEXTS[kind], named)
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                pending += [item for item in value.values() if isinstance(item, Message)]
            else:
                pending += value if field.is_repeated else [value]


def _read_by_name(message: Any, tables: Path, database: str) -> None:
    source = message.data_source
    if (source.HasField("format") and source.format.lower() != "delta") or len(source.paths) != 1:
        return
    if source.schema or source.predicates or {key.lower() for key in source.options} - READ_OPTIONS:
        return
    if name := table_at(source.paths[0], tables):
        options = dict(source.options)
        message.named_table.unparsed_identifier = f"`{database}`.`{name}`"
        message.named_table.options.update(options)


def text_by_name(text: str, tables: Path, database: str) -> str:
    """SQL text with delta.`path` of a table in the folder `tables` as `database`.`name`; unchanged where it can't be read."""
    if "`" not in text or "delta" not in text.lower():
        return text
    try:
        tokens = tokens_of(text, "The SQL")[0]
    except Rejected:
        return text
    pieces: list[str] = []
    at = done = 0
    while at < len(tokens):
        parts, end = name_at(tokens, at)
        if len(parts) == 2 and parts[0].lower() == "delta" and (name := table_at(parts[1], tables)):
            pieces += [text[done : tokens[at].start], f"`{database}`.`{name}`"]
            done = tokens[end - 1].end
        at = max(end, at + 1)
    return "".join([*pieces, text[done:]])


def table_at(location: str, tables: Path) -> str | None:
    """The name of the Delta table that lies at a path, if it is one directly in the folder `tables`."""
    path = unquote(urlsplit(location).path) if location.startswith("file:") else location
    if not path.startswith("/") or "\0" in path:
        return None
    found = Path(os.path.realpath(path))
    plain = found.parent == Path(os.path.realpath(tables)) and _NAME.fullmatch(found.name)
    return found.name if plain and (found / "_delta_log").is_dir() else None
