"""Statements of Unity Catalog that Spark doesn't know: each a form that has to fit the whole text.

What fits none goes to Spark's parser. Names and texts that come out of here are data; nothing of them is run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PART = r"(?:`(?:[^`]|``)+`|[\w-]+)"
_STRING = r"(?:'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")"
_LEAF_KINDS = "TABLE|VIEW|FUNCTION"
_PLACEHOLDERS = {
    "name": rf"{_PART}(?:\s*\.\s*{_PART})*",
    "function": rf"{_PART}(?:\s*\.\s*{_PART})*",
    "kind": rf"CATALOG|SCHEMA|DATABASE|{_LEAF_KINDS}",
    "principal": _PART,
    "column": _PART,
    "columns": rf"{_PART}(?:\s*,\s*{_PART})*|",
    "privileges": r"[A-Z]+(?:[\s_]+[A-Z]+)*(?:\s*,\s*[A-Z]+(?:[\s_]+[A-Z]+)*)*",
    "text": rf"{_STRING}|NULL",
    "pairs": rf"{_STRING}(?:\s*=\s*{_STRING})?(?:\s*,\s*{_STRING}(?:\s*=\s*{_STRING})?)*",
    "keys": rf"{_STRING}(?:\s*,\s*{_STRING})*",
    "if": r"IF(?:\s+NOT)?\s+EXISTS",
    "cascade": "CASCADE|RESTRICT",
}
# <placeholder>, [optional]; a space is any white space.
_FORMS = {
    "grant_metastore": "GRANT <privileges> ON METASTORE TO <principal>",
    "grant": "GRANT <privileges> ON [<kind>] <name> TO <principal>",
    "revoke_metastore": "REVOKE <privileges> ON METASTORE FROM <principal>",
    "revoke": "REVOKE <privileges> ON [<kind>] <name> FROM <principal>",
    "show_grants": "SHOW GRANTS [<principal>] ON [<kind>] <name>",
    "create_catalog": "CREATE CATALOG [<if>] <name> [COMMENT <text>]",
    "create_schema": "CREATE (?:SCHEMA|DATABASE) [<if>] <name> [COMMENT <text>]",
    "drop": "DROP <kind> [<if>] <name> [<cascade>]",
    "owner": "ALTER <kind> <name> [SET] OWNER TO <principal>",
    "set_filter": "ALTER TABLE <name> SET ROW FILTER <function> ON ( <columns> )",
    "drop_filter": "ALTER TABLE <name> DROP ROW FILTER",
    "set_mask": "ALTER TABLE <name> ALTER [COLUMN] <column> SET MASK <function> [USING COLUMNS ( <columns> )]",
    "drop_mask": "ALTER TABLE <name> ALTER [COLUMN] <column> DROP MASK",
    "set_tags": "ALTER <kind> <name> [ALTER COLUMN <column>] SET TAGS ( <pairs> )",
    "unset_tags": "ALTER <kind> <name> [ALTER COLUMN <column>] UNSET TAGS ( <keys> )",
    "comment": "COMMENT ON <kind> <name> IS <text>",
    "comment_column": "COMMENT ON COLUMN <name> IS <text>",
    "alter_comment": "ALTER TABLE <name> ALTER [COLUMN] <column> COMMENT <text>",
    "show_catalogs": "SHOW CATALOGS",
    "show_schemas": "SHOW (?:SCHEMAS|DATABASES) [(?:IN|FROM) <name>]",
    "show_tables": "SHOW (?:TABLES|VIEWS) [(?:IN|FROM) <name>]",
    "describe": "(?:DESCRIBE|DESC) [TABLE] [EXTENDED] <name>",
}


def _compiled(form: str) -> re.Pattern[str]:
    out = ""
    for token in re.findall(r"\(\?:[^)]*\)|<\w+>|\[|\]|\(|\)|,|\w+", form):
        if token == "[":
            out += "(?:"
        elif token == "]":
            out += ")?"
        elif token in "(),":
            out += rf"\s*{re.escape(token)}\s*"
        else:
            inner = rf"(?P<{token[1:-1]}>{_PLACEHOLDERS[token[1:-1]]})" if token[0] == "<" else token
            out += rf"(?:(?<![\w`'\")])|\s+){inner}"
    return re.compile(rf"\s*{out}\s*", re.IGNORECASE)


_PATTERNS = {verb: _compiled(form) for verb, form in _FORMS.items()}
_RESERVED = {"HISTORY", "DETAIL", "FUNCTION", "CATALOG", "SCHEMA", "DATABASE", "QUERY", "METASTORE"}


@dataclass(frozen=True)
class Command:
    """A governance statement. Of the fields, those that its form has are set."""

    verb: str
    kind: str = "TABLE"
    name: tuple[str, ...] = ()
    principal: str | None = None
    privileges: frozenset[str] = frozenset()
    function: tuple[str, ...] = ()
    column: str = ""
    columns: tuple[str, ...] = ()
    text: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    lenient: bool = False  # IF EXISTS, IF NOT EXISTS
    cascade: bool = False


def read(text: str) -> Command | None:
    """The governance statement that the text is, all of it; None if it is none."""
    for verb, pattern in _PATTERNS.items():
        found = pattern.fullmatch(text)
        if found is None:
            continue
        groups = {name: value for name, value in found.groupdict().items() if value is not None}
        if (
            verb == "describe"
            and groups["name"].split()[0].upper() in _RESERVED
            and "." not in groups["name"]
        ):
            return None
        return _command(verb, groups)
    return None


def _command(verb: str, groups: dict[str, str]) -> Command:
    kind = groups.get("kind", "TABLE").upper()
    pairs = re.findall(rf"({_STRING})(?:\s*=\s*({_STRING}))?", groups.get("pairs", groups.get("keys", "")))
    return Command(
        verb=verb,
        kind={"DATABASE": "SCHEMA", "VIEW": "TABLE"}.get(kind, kind),
        name=tuple(_parts(groups.get("name", ""))),
        principal=_parts(groups["principal"])[0] if "principal" in groups else None,
        privileges=frozenset(
            re.sub(r"[\s_]+", "_", privilege.strip().upper())
            for privilege in groups.get("privileges", "").split(",")
            if privilege
        ),
        function=tuple(_parts(groups.get("function", ""))),
        column=_parts(groups["column"])[0] if "column" in groups else "",
        columns=tuple(_parts(groups.get("columns", ""))),
        text=None if groups.get("text", "NULL").upper() == "NULL" else _string(groups["text"]),
        tags={_string(key): _string(value) if value else "" for key, value in pairs},
        lenient="if" in groups,
        cascade=groups.get("cascade", "").upper() == "CASCADE",
    )


def _parts(text: str) -> list[str]:
    found = re.findall(_PART, text)
    return [part[1:-1].replace("``", "`") if part[0] == "`" else part for part in found]


def _string(text: str) -> str:
    inner = text[1:-1].replace(text[0] * 2, text[0])
    return re.sub(
        r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), inner, flags=re.DOTALL
    )
