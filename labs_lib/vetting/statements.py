"""Statements by which a session makes what a DataFrame's plan may name beside tables: views, SQL functions, variables, a database.

A plan names these and does not hold them, so whoever analyses it elsewhere has to make them again first. Each statement is read by
Spark's grammar (SqlBaseParser.g4) as far as it has to be known, and what it holds is checked as a plan is.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pyspark.sql.connect.proto import commands_pb2, relations_pb2

import datasets
from labs_lib.vetting.plans import check_plan, check_relation, parse_message
from labs_lib.vetting.sql import (
    CLIENT_FUNCTIONS,
    FUNCTIONS,
    REFUSED_FUNCTIONS,
    SYNTAX,
    Reading,
    Token,
    check_expression,
    check_query,
    check_table_name,
    closing,
    name_at,
    name_parts,
    reading,
    tokens_of,
    where_of,
)
from labs_lib.vetting.text import Rejected, shown

STATEMENTS = 300  # of one session

Kind = Literal["view", "function", "variable", "database", "use", "drop"]

_PLAIN = re.compile(r"[A-Za-z_]\w{0,127}", re.ASCII)
_NAMED = re.compile(r"\b(?:VIEW|FUNCTION|VARIABLE|TABLE)\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.`]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A statement before its parts are checked.

    names: what it makes, changes or drops, in lower case. text: what is to be replayed. queries, expressions: texts in it that Spark
    parses. refusal: why it can't be replayed whatever it holds.
    """

    kind: Kind
    names: tuple[str, ...]
    text: str
    queries: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Scene:
    """What a session has made beside its tables, as far as another session can make it again.

    commands: each a checked `spark.connect.Command` in base64, in order. functions: names of SQL functions among them. views, words:
    names of views, and of functions and variables, that can't be made again, each with the reason. tables: names that the commands
    read. used: databases that were the current one for a while. database: the lab's own.
    """

    commands: tuple[str, ...] = ()
    functions: frozenset[str] = frozenset()
    views: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    tables: frozenset[tuple[str, ...]] = frozenset()
    used: frozenset[str] = frozenset()
    database: str = ""


def scene_of(commands: Sequence[str], database: str) -> Scene:
    """What those commands of a session, in order and in base64, have made; `database` is the name of the lab's own.

    Never raises: what is refused is left out, and a plan that needs it is refused by `check_answer` with the reason.
    """
    return _scene_of(tuple(commands), database)


@functools.lru_cache(maxsize=4)
def _scene_of(commands: tuple[str, ...], database: str) -> Scene:
    made: list[str] = []
    functions: set[str] = set()
    tables: set[tuple[str, ...]] = set()
    used: set[str] = set()
    views: dict[str, str] = {}
    words: dict[str, str] = {}
    for text in commands:
        names: tuple[str, ...] = ()
        kind: Kind = "view"
        try:
            command = _command(text)
            names = _names_in(command)
            statement = _statement(command)
            if statement is None:
                continue
            kind, names = statement.kind, statement.names
            if len(made) >= STATEMENTS:
                raise Rejected(
                    f"a session's first {STATEMENTS} statements are replayed, and this one comes after."
                )
            with reading(functions) as noted:
                checked = _checked(command, statement)
            _refuse_left_out(noted, views, words, database)
        except Rejected as refusal:
            names = tuple(_key(name.split("."), database) for name in names)
            if kind == "view":
                views |= dict.fromkeys(names, str(refusal))
            elif kind in ("function", "variable"):
                words |= dict.fromkeys(names, str(refusal))
            functions -= set(names)
            continue
        made.append(base64.b64encode(checked.SerializeToString()).decode())
        tables |= noted.tables
        used |= set(names) if kind == "use" else set()
        for name in names:
            views.pop(_key(name.split("."), database), None)
            words.pop(name, None)
        functions = functions | set(names) if kind == "function" else functions - set(names)
    return Scene(
        tuple(made), frozenset(functions), views, words, frozenset(tables), frozenset(used), database
    )


def check_answer(data: bytes, scene: Scene) -> tuple[relations_pb2.Relation, frozenset[tuple[str, ...]]]:
    """The relation of a serialised plan that may be analysed where the scene has been made, and the names in it that may be tables'.

    Raises Rejected as check_plan does, and for what is left out of the scene.
    """
    if not data:
        raise Rejected(
            "It measured a function; only the run of a DataFrame can be made again: give `measure` that."
        )
    with reading(scene.functions) as noted:
        relation = check_plan(data)
    _refuse_left_out(noted, scene.views, scene.words, scene.database)
    return relation, frozenset(noted.tables)


def check_command(data: bytes, functions: Sequence[str] = ()) -> commands_pb2.Command:
    """The command of a serialised spark.connect.Command, as it may be replayed. Raises Rejected for what makes nothing that a plan
    may name, or holds what is refused.

    Use what is returned: what was checked is the message as it was parsed, and CACHE TABLE ... AS becomes the view that it makes.
    """
    command = commands_pb2.Command()
    parse_message(command, data)
    statement = _statement(command)
    if statement is None:
        raise Rejected("The command makes no view, function or variable, and nothing else is replayed.")
    with reading(functions):
        return _checked(command, statement)


def _refuse_left_out(
    noted: Reading, views: Mapping[str, str], words: Mapping[str, str], database: str
) -> None:
    for parts in sorted(noted.tables):
        name = _key(parts, database)
        if reason := views.get(name):
            raise Rejected(f"It reads the view {shown(name, 60)!r}, which can't be made again: {reason}")
        if "." in name and parts[-1] in datasets.TABLES and not name.startswith("global_temp."):
            raise Rejected(
                f"It reads {shown(name, 60)!r}: a table of your own may not have a course table's name."
            )
    for word in sorted(noted.words & words.keys()):
        raise Rejected(f"It uses {shown(word, 60)!r}, which can't be made again: {words[word]}")


def _key(parts: Sequence[str], database: str) -> str:
    """A name as it is kept in a scene: without the catalog, and without the database where it is the lab's own."""
    plain = [part.lower() for part in parts]
    plain = plain[1:] if len(plain) == 3 and plain[0] == "spark_catalog" else plain
    return ".".join(plain[1:] if len(plain) == 2 and plain[0] == database else plain)


def _command(text: str) -> commands_pb2.Command:
    command = commands_pb2.Command()
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Rejected("it is not in base64.") from None
    parse_message(command, data)
    return command


def _names_in(command: commands_pb2.Command) -> tuple[str, ...]:
    """The name that a statement seems to be about, for one that can't be read."""
    match = _NAMED.search(sql_of(command))
    return (match[1].replace("`", "").lower(),) if match else ()


def sql_of(command: commands_pb2.Command) -> str:
    """The text of a SQL command, empty for others."""
    relation = command.sql_command.input
    holder = relation.with_relations.root if relation.WhichOneof("rel_type") == "with_relations" else relation
    return holder.sql.query


def _statement(command: commands_pb2.Command) -> Statement | None:
    """What a command is; None if it makes nothing that a plan may name. Raises Rejected for text that has no certain tokens."""
    kind = command.WhichOneof("command_type")
    if kind == "create_dataframe_view":
        view = command.create_dataframe_view
        parts = name_parts(view.name, "The name of the view")
        refusal = _refused_name(parts, "The view", most=1, kept=view.is_global)
        prefix = "global_temp." if view.is_global else ""
        return Statement("view", (f"{prefix}{parts[-1].lower()}",), "", refusal=refusal)
    if kind == "register_function":
        name = command.register_function.function_name
        refusal = f"{shown(name, 60)!r} is a user-defined function, which is code."
        return Statement("function", (name.lower(),), "", refusal=refusal)
    if kind != "sql_command":
        return None
    return read(sql_of(command))


def _checked(command: commands_pb2.Command, statement: Statement) -> commands_pb2.Command:
    if statement.refusal:
        raise Rejected(statement.refusal)
    if command.HasField("create_dataframe_view"):
        check_relation(command.create_dataframe_view.input)
        return command
    if any(field.name != "input" for field, _ in command.sql_command.ListFields()):
        raise Rejected("The SQL command comes in the form of an older Spark, which is not replayed.")
    for text in statement.queries:
        check_query(text)
    for text in statement.expressions:
        check_expression(text)
    # The statement is put aside for its own rule and the rest is walked like any relation.
    relation = command.sql_command.input
    holder = relation.with_relations.root if relation.WhichOneof("rel_type") == "with_relations" else relation
    holder.sql.query = "SELECT 1"
    check_relation(relation)
    holder.sql.query = statement.text
    return command


def _refused_name(parts: Sequence[str], what: str, most: int, kept: bool = True) -> str:
    """Why a name of at most so many parts may not be given to something, or nothing.

    What the server keeps beyond the session has a name without special characters, so that it is easily removed.
    """
    name = shown(".".join(parts), 60)
    if not 0 < len(parts) <= most or (kept and not all(_PLAIN.fullmatch(part) for part in parts)):
        return f"{what} has no plain name: {name!r}."
    if parts[0].lower() == "identifier":  # IDENTIFIER(...) makes a name of what it evaluates
        return f"{what} has a name made from text."
    try:
        check_table_name(parts, what)
    except Rejected as refusal:
        return str(refusal)
    return ""


# The grammar


class _Cursor:
    """A place among a statement's tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.where = where_of("The SQL", text)
        self.tokens: list[Token] = tokens_of(text, self.where)[0]
        while self.tokens and self.tokens[-1].among(";"):
            self.tokens.pop()
        self.at = 0

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def sees(self, *words: str) -> bool:
        return not self.ended and self.tokens[self.at].among(*words)

    def takes(self, *words: str) -> bool:
        """Whether those words or symbols come next; then they are passed."""
        here = self.tokens[self.at : self.at + len(words)]
        fits = len(here) == len(words) and all(
            token.among(word) for token, word in zip(here, words, strict=True)
        )
        self.at += len(words) if fits else 0
        return fits

    def takes_one(self, *words: str) -> bool:
        return any(self.takes(word) for word in words)

    def name(self) -> list[str]:
        parts, self.at = name_at(self.tokens, self.at)
        return parts

    def passes_parentheses(self) -> None:
        if self.sees("("):
            self.at = closing(self.tokens, self.at, self.where) + 1

    def passes_comment(self) -> None:
        if self.sees("comment") and self.at + 1 < len(self.tokens):
            self.at += 2

    def finds(self, *words: str) -> int | None:
        """The place of the next of those words outside of parentheses."""
        depth = 0
        for place in range(self.at, len(self.tokens)):
            token = self.tokens[place]
            depth += token.among("(") - token.among(")")
            if depth == 0 and token.among(*words):
                return place
        return None

    def span(self, end: int | None = None) -> str:
        """The text from here to the token at `end`, or to the statement's end."""
        if self.ended or end == self.at:
            return ""
        last = self.tokens[(len(self.tokens) if end is None else end) - 1]
        return self.text[self.tokens[self.at].start : last.end]


def read(text: str) -> Statement | None:
    """A statement's kind, names and parts; None for one that makes nothing that a plan may name.

    Raises Rejected if the text has no certain tokens.
    """
    cursor = _Cursor(text)
    for word, rule in _RULES.items():
        if cursor.takes(word):
            return rule(cursor)
    return None


def _create(cursor: _Cursor) -> Statement | None:
    cursor.takes("or", "replace")
    is_global = cursor.takes("global")
    temporary = cursor.takes_one("temp", "temporary")
    if cursor.takes("view"):
        return _view(cursor, "global" if is_global else "session" if temporary else "")
    if cursor.takes("function"):
        return _function(cursor)
    if not temporary and cursor.takes_one("database", "schema"):
        cursor.takes("if", "not", "exists")
        parts = cursor.name()
        # Where its files are does not travel: the tables in it are laid anew.
        again = f"CREATE DATABASE IF NOT EXISTS {_quoted(parts)}"
        refusal = _refused_name(parts, cursor.where, most=1)
        return Statement("database", (_dotted(parts),), again, refusal=refusal)
    return None


def _view(cursor: _Cursor, scope: str) -> Statement:
    cursor.takes("if", "not", "exists")
    parts = cursor.name()
    name = f"global_temp.{_dotted(parts)}" if scope == "global" else _dotted(parts)
    refusal = _refused_name(parts, cursor.where, most=1 if scope else 3, kept=scope != "session")
    cursor.passes_parentheses()
    cursor.passes_comment()
    if not cursor.takes("as") or cursor.ended:
        refusal = refusal or f"{cursor.where} does not make a view of a query and nothing else."
    return Statement("view", (name,), cursor.text, (cursor.span(),), refusal=refusal)


def _alter(cursor: _Cursor) -> Statement | None:
    if not cursor.takes("view"):
        return None
    parts = cursor.name()
    refusal = _refused_name(parts, cursor.where, most=3)
    if not cursor.takes("as") or cursor.ended:
        refusal = refusal or f"{cursor.where} changes a view in another way than by a new query."
    return Statement("view", (_dotted(parts),), cursor.text, (cursor.span(),), refusal=refusal)


def _cache(cursor: _Cursor) -> Statement | None:
    """CACHE TABLE name AS query makes a temporary view; that it is cached as well changes no rows."""
    cursor.takes("lazy")
    if not cursor.takes("table"):
        return None
    parts = cursor.name()
    if cursor.takes("options"):
        cursor.passes_parentheses()
    cursor.takes("as")
    if cursor.ended:
        return None
    query = cursor.span()
    again = f"CREATE OR REPLACE TEMPORARY VIEW {_quoted(parts)} AS {query}"
    return Statement(
        "view", (_dotted(parts),), again, (query,), refusal=_refused_name(parts, cursor.where, 1, kept=False)
    )


def _function(cursor: _Cursor) -> Statement:
    cursor.takes("if", "not", "exists")
    parts = cursor.name()
    refusal = _refused_name(parts, cursor.where, most=2)
    last = parts[-1].lower() if parts else ""
    if last in FUNCTIONS or last in REFUSED_FUNCTIONS or last in CLIENT_FUNCTIONS or last in SYNTAX:
        refusal = refusal or f"{cursor.where} makes a function with the name of one of Spark's own."
    body = cursor.finds("return")
    before = cursor.tokens[cursor.at : body]
    sql = all(after.among("sql") for word, after in itertools.pairwise(before) if word.among("language"))
    if body is None or not cursor.sees("(") or not sql or body + 1 >= len(cursor.tokens):
        return Statement(
            "function",
            (_dotted(parts),),
            "",
            refusal=refusal or f"{cursor.where} makes a function that is not in SQL, which is code.",
        )
    signature = cursor.span(body)
    cursor.at = body + 1
    is_query = cursor.sees("select", "with", "values", "from", "table")
    queries, expressions = ((cursor.span(),), (signature,)) if is_query else ((), (signature, cursor.span()))
    return Statement("function", (_dotted(parts),), cursor.text, queries, expressions, refusal)


def _declare(cursor: _Cursor) -> Statement:
    cursor.takes("or", "replace")
    cursor.takes("variable")
    names = [cursor.name()]
    while cursor.takes(","):
        names.append(cursor.name())
    refusal = next(filter(None, (_refused_name(parts, cursor.where, most=3) for parts in names)), "")
    value = cursor.finds("default", "=")
    kind = cursor.span(value)
    cursor.at = len(cursor.tokens) if value is None else value + 1
    return Statement(
        "variable",
        tuple(parts[-1].lower() for parts in names if parts),
        cursor.text,
        expressions=tuple(filter(None, (kind, cursor.span()))),
        refusal=refusal,
    )


def _set(cursor: _Cursor) -> Statement | None:
    if not cursor.takes_one("var", "variable"):
        return None
    expression = cursor.span()
    names: list[str] = []
    if cursor.takes("("):
        names += [token.text.lower() for token in cursor.tokens[cursor.at : cursor.finds(")")]]
    else:
        while not cursor.ended:
            parts = cursor.name()
            names += [parts[-1].lower()] if parts and cursor.sees("=") else []
            cursor.at = (cursor.finds(",") or len(cursor.tokens)) + 1
    return Statement("variable", tuple(names), cursor.text, expressions=(expression,))


def _use(cursor: _Cursor) -> Statement | None:
    cursor.takes_one("database", "schema", "namespace")
    parts = cursor.name()
    if not cursor.ended or not parts or (len(parts) == 1 and parts[0].lower() == "catalog"):
        return None
    parts = parts[1:] if len(parts) == 2 and parts[0].lower() == "spark_catalog" else parts
    refusal = _refused_name(parts, cursor.where, most=1)
    return Statement("use", (_dotted(parts),), f"USE {_quoted(parts)}", refusal=refusal)


def _drop(cursor: _Cursor) -> Statement | None:
    temporary = "TEMPORARY " if cursor.takes_one("temp", "temporary") else ""
    what = next((word for word in ("view", "function", "variable") if cursor.takes(word)), None)
    cursor.takes("if", "exists")
    parts = cursor.name()
    if what is None or not cursor.ended:
        return None
    again = f"DROP {temporary}{what.upper()} IF EXISTS {_quoted(parts)}"
    refusal = _refused_name(parts, cursor.where, most=3, kept=False)
    return Statement("drop", (_dotted(parts),), again, refusal=refusal)


_RULES: dict[str, Callable[[_Cursor], Statement | None]] = {
    "create": _create,
    "alter": _alter,
    "cache": _cache,
    "declare": _declare,
    "set": _set,
    "use": _use,
    "drop": _drop,
}


def _dotted(parts: Sequence[str]) -> str:
    return ".".join(parts).lower()


def _quoted(parts: Sequence[str]) -> str:
    return ".".join(f"`{part.replace('`', '``')}`" for part in parts)


def of_catalog(call: Any) -> str | None:
    """The statement that does what a call of `spark.catalog` did (a `spark.connect.Catalog`), if it concerns a view or the database."""
    match call.WhichOneof("cat_type"):
        case "drop_temp_view":
            return f"DROP VIEW IF EXISTS {_quoted([call.drop_temp_view.view_name])}"
        case "drop_global_temp_view":
            return f"DROP VIEW IF EXISTS {_quoted(['global_temp', call.drop_global_temp_view.view_name])}"
        case "set_current_database":
            return f"USE {call.set_current_database.db_name}"
    return None


def sql_command(text: str) -> str:
    """A statement as the client sends it: a `spark.connect.Command` in base64."""
    command: Any = commands_pb2.Command()
    command.sql_command.input.sql.query = text
    return base64.b64encode(command.SerializeToString()).decode()
