"""Names in a statement become the caller's: a table with a filter or masks, or a view, is replaced in just its span by a view of the
caller's own, in which user and groups are literals. Pure but for the parser that it is given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from labs_lib.engine.sql import literal
from labs_lib.workspace.catalog.columns import columns_of
from labs_lib.workspace.catalog.model import Catalog, Object, Policy
from labs_lib.workspace.catalog.privileges import Who
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied
from labs_lib.workspace.sql import guard
from labs_lib.workspace.sql.model import Parameter
from labs_lib.workspace.sql.plan import Node, name_end, quoted

# A limit that cuts nothing, and that no condition of the caller's is moved below: else one that raises an error could be asked of rows
# which the caller may not see, before the filter is.
BARRIER = "LIMIT 2147483647"
DEEPEST = 20  # views in views, functions in functions

Edits = dict[tuple[int, int], str]


@dataclass(frozen=True)
class Scope:
    """Whose privileges count in a text, and where names of fewer parts are looked for. `hidden`: tables are read through views, always."""

    who: Who
    catalog: str
    schema: str
    hidden: bool = False


class Rewriter:
    """Rewrites the texts of one statement of one caller's. `rows` makes the query of a table of an information_schema."""

    def __init__(
        self,
        catalog: Catalog,
        user_name: str,
        groups: Iterable[str],
        who_is: Mapping[str, Who],
        parse: Callable[[str], Node],
        rows: Callable[[str, str], str | None],
    ) -> None:
        self.catalog = catalog
        self.user_name = user_name
        self.groups = sorted(groups)
        self.who_is = who_is
        self.parse = parse
        self.rows = rows
        # What Spark has to hold, in this order: the name, and the statement that makes it.
        self.made: dict[str, str] = {}
        # For each view, and the statement itself: the tables that stand directly in it.
        self.allowed: dict[str, set[str]] = {"": set()}
        self.read: set[str] = set()
        self.names: dict[str, str] = {}  # of what Spark holds, as people know it
        self._views: dict[str, str] = {}
        self._caller = hashlib.sha256(repr((user_name, self.groups)).encode()).hexdigest()[:12]
        self._depth = 0

    @property
    def is_guarded(self) -> bool:
        """Whether the statement reads anything that holds more than the caller may see."""
        return len(self.allowed) > 1

    def rewrite(
        self,
        text: str,
        plan: Node,
        scope: Scope,
        view: str = "",
        parameters: Sequence[Parameter] = (),
        target: tuple[Node, str] | None = None,
    ) -> str:
        """The text with its names replaced. Raises NotFound, PermissionDenied, InvalidParameter.

        `target` is the node that names what a statement changes or makes, and what stands for it.
        """
        guard.check(plan)
        reading = _Reading(self, text, scope, view, parameters)
        if target is not None:
            reading.target(*target)
        reading.walk(plan, frozenset())
        reading.qualify()
        return reading.edited()

    def base(self, found: Object) -> str:
        """The name under which Spark knows a table's files."""
        name = self.named("t", found)
        if name not in self.made:
            folder = literal(found.location or "")
            self.made[name] = f"CREATE TABLE IF NOT EXISTS {_sql(name)} USING delta LOCATION {folder}"
        return name

    def relation(self, parts: list[str], scope: Scope, view: str, travels: bool) -> str:
        """What stands for a table or view of that name."""
        name = resolved(parts, scope)
        schema = name.split(".")[1]
        if schema == "information_schema":
            return self._information(name)
        found = self.catalog.find("TABLE", name)
        if found is None:
            raise NotFound(f"[TABLE_OR_VIEW_NOT_FOUND] The table or view '{name}' cannot be found.")
        self.catalog.require(scope.who, "TABLE", name, "SELECT")
        self.read.add(name)
        if not found.is_view and not found.is_protected and not scope.hidden:
            base = self.base(found)
            self.allowed[view].add(base)
            return base
        if travels:
            raise PermissionDenied(
                f"Time travel on '{name}' is not offered: it is a view, or has a row filter or masks."
            )
        return self._view(found)

    def function(self, parts: list[str], scope: Scope) -> str:
        """What stands for a function of the catalog's."""
        name = resolved(parts, scope)
        found = self.catalog.find("FUNCTION", name)
        if found is None:
            raise NotFound(
                f"[UNRESOLVED_ROUTINE] The function '{name}' cannot be found, or is not offered here."
            )
        self.catalog.require(scope.who, "FUNCTION", name, "EXECUTE")
        return self.made_of(found)

    def _view(self, found: Object) -> str:
        name = self.named(f"u_{self._caller}", found)
        if found.name in self._views:
            return name
        self._views[found.name] = name
        self.allowed[name] = set()
        body = self._view_body(found, name) if found.is_view else self._table_body(found, name)
        self.made[name] = f"CREATE OR REPLACE VIEW {_sql(name)} AS {body} {BARRIER}"
        return name

    def _view_body(self, found: Object, name: str) -> str:
        text = found.definition or ""
        columns = ", ".join(quoted(column.name) for column in found.columns)
        inner = self._inner(found, text, self.parse(text), name)
        alias = quoted(found.parts[-1])
        if found.properties.get("columns") == "given":
            return f"SELECT * FROM (\n{inner}\n) AS {alias} ({columns})"
        return f"SELECT {columns} FROM (\n{inner}\n) AS {alias}"  # a star in it may have become more since

    def _table_body(self, found: Object, name: str) -> str:
        """The caller's own view of a protected table. The functions of its policies are the table owner's to call."""
        base = self.base(found)
        self.allowed[name].add(base)
        shown = []
        for column in columns_of(found):
            mask = found.masks.get(column.name.lower())
            plain = quoted(column.name)
            masked = f"CAST({self._call(mask, [column.name])} AS {column.type}) AS {plain}" if mask else plain
            shown.append(masked)
        where = f" WHERE {self._call(found.row_filter, [])}" if found.row_filter else ""
        return f"SELECT {', '.join(shown)} FROM {_sql(base)}{where}"

    def _call(self, policy: Policy, first: list[str]) -> str:
        function = self.made_of(self.catalog.get("FUNCTION", policy.function))
        return f"{_sql(function)}({', '.join(quoted(column) for column in [*first, *policy.columns])})"

    def made_of(self, found: Object) -> str:
        """The caller's own copy of a function, in which user and groups are literals."""
        name = self.named(f"u_{self._caller}", found)
        if name in self.made:
            return name
        text = found.definition or ""
        prefix = "" if found.properties.get("body") == "query" else "SELECT "
        view = f"function {found.name}"
        inner = self._inner(found, prefix + text, self.parse(prefix + text), view, hidden=True)
        parameters = ", ".join(f"{quoted(each.name)} {each.type}" for each in found.parameters)
        head = f"CREATE OR REPLACE FUNCTION {_sql(name)}({parameters}) RETURNS {found.returns}"
        self.made[name] = f"{head} RETURN {inner.removeprefix(prefix)}"
        return name

    def _inner(self, found: Object, text: str, plan: Node, view: str, hidden: bool = False) -> str:
        """The text of a view or function, read with the rights of whoever owns it."""
        if self._depth >= DEEPEST:
            raise InvalidParameter(
                f"'{found.name}' is made of views and functions that are nested deeper than {DEEPEST}, or in a circle."
            )
        place = (found.properties["catalog"], found.properties["schema"])
        scope = Scope(self.who_is[found.owner], *place, hidden)
        self._depth += 1
        try:
            return self.rewrite(text, plan, scope, view)
        finally:
            self._depth -= 1

    def _information(self, name: str) -> str:
        catalog, _, table = name.split(".")
        query = self.rows(catalog, table)
        if query is None:
            raise NotFound(f"[TABLE_OR_VIEW_NOT_FOUND] The table or view '{name}' cannot be found.")
        view = f"u_{self._caller}_information_{catalog.encode().hex()}.{table}"
        self.names[view] = name
        self.allowed[view] = set()
        self.made[view] = f"CREATE OR REPLACE VIEW {_sql(view)} AS {query}"
        return view

    def named(self, prefix: str, found: Object) -> str:
        """The name under which Spark knows an object: its id keeps it from every other, and columns can be qualified by its last part."""
        name = f"{prefix}_{found.id.replace('-', '_').replace('.', '_')}.{found.parts[-1]}"
        self.names[name] = found.name
        return name


class _Reading:
    """One text's walk: which spans are replaced by what."""

    def __init__(
        self, rewriter: Rewriter, text: str, scope: Scope, view: str, parameters: Sequence[Parameter]
    ) -> None:
        self.rewriter = rewriter
        self.text = text
        self.scope = scope
        self.view = view
        self.parameters = parameters
        self.edits: Edits = {}
        self.relations: list[list[str]] = []
        self.attributes: list[tuple[int, list[str]]] = []
        self.targets: list[Node] = []
        self.placed = 0

    def walk(self, value: object, ctes: frozenset[str], travels: bool = False) -> None:
        if isinstance(value, list):
            for item in value:
                self.walk(item, ctes)
            return
        if not isinstance(value, Node):
            return
        match value.name:
            case "UnresolvedWith":
                self._with(value, ctes)
                return
            case "RelationTimeTravel":
                for name, item in value.fields.items():
                    self.walk(item, ctes, travels=name == "relation")
                return
            case "UnresolvedRelation" if all(value is not target for target in self.targets):
                self._relation(value, ctes, travels)
            case "UnresolvedFunction":
                self._function(value)
            case "UnresolvedAttribute":
                self._attribute(value)
            case "UnresolvedStar" if value.fields["target"]:
                self.attributes.append((value.start, value.parts("target")))
            case "NamedParameter" | "PosParameter":
                self._parameter(value)
        for item in value.fields.values():
            self.walk(item, ctes)

    def target(self, value: Node, name: str) -> None:
        parts = value.parts("nameParts" if "nameParts" in value.fields else "multipartIdentifier")
        if name_end(self.text, value.start, parts) != value.end:
            raise InvalidParameter(f"The name {'.'.join(parts)!r} has to be written plainly.")
        self.targets.append(value)
        self.relations.append(resolved(parts, self.scope).split("."))
        self.replace(value.start, value.end, _sql(name))

    def _with(self, value: Node, ctes: frozenset[str]) -> None:
        recursive = value.fields.get("allowRecursion") == "true"
        seen = ctes
        for name, relation, *_ in value.fields["cteRelations"]:
            inner = seen | {name.lower()}
            self.walk(relation, inner if recursive else seen)
            seen = inner
        self.walk(value.fields["child"], seen)

    def _relation(self, value: Node, ctes: frozenset[str], travels: bool) -> None:
        parts = value.parts("multipartIdentifier")
        if len(parts) == 1 and parts[0].lower() in ctes:
            return
        written = self.text[value.start : value.end]
        if name_end(self.text, value.start, parts) != value.end and not written[:10].lower() == "identifier":
            raise InvalidParameter(f"The name {'.'.join(parts)!r} has to be written plainly.")
        self.relations.append(resolved(parts, self.scope).split("."))
        mine = self.rewriter.relation(parts, self.scope, self.view, travels)
        self.replace(value.start, value.end, _sql(mine))

    def _function(self, value: Node) -> None:
        parts = value.parts("nameParts")
        name = parts[-1].lower()
        if len(parts) == 1 and name in guard.USER and not value.fields["arguments"]:
            self.replace(value.start, value.end, literal(self.rewriter.user_name))
        elif len(parts) == 1 and name in guard.PLACE and not value.fields["arguments"]:
            place = self.scope.catalog if name == "current_catalog" else self.scope.schema
            self.replace(value.start, value.end, literal(place))
        elif len(parts) == 1 and name in guard.MEMBER:
            groups = ", ".join(map(literal, self.rewriter.groups))
            call = f"array_contains(CAST(array({groups}) AS array<string>), "
            self.replace(value.start, self._end_of_name(value, parts), call)
            self.replace(value.end, value.end, ")")
        elif not guard.is_own(parts):
            end = self._end_of_name(value, parts)
            self.replace(value.start, end, _sql(self.rewriter.function(parts, self.scope)))

    def _end_of_name(self, value: Node, parts: list[str]) -> int:
        end = name_end(self.text, value.start, parts)
        if end is None:
            raise InvalidParameter(f"The name of the function {'.'.join(parts)!r} has to be written plainly.")
        return end

    def _attribute(self, value: Node) -> None:
        parts = value.parts("nameParts")
        if len(parts) == 1 and self.text[value.start : value.end].lower() in ("current_user", "session_user"):
            self.replace(value.start, value.end, literal(self.rewriter.user_name))
        else:
            self.attributes.append((value.start, parts))

    def _parameter(self, value: Node) -> None:
        if value.name == "NamedParameter":
            found = [each for each in self.parameters if each.name == value.fields["name"]]
        else:
            found = [*self.parameters[self.placed : self.placed + 1]]
            self.placed += 1
        if not found:
            raise InvalidParameter(
                f"[UNBOUND_SQL_PARAMETER] The request gives no parameter for {self.text[value.start : value.end]!r}."
            )
        text = "NULL" if found[0].value is None else literal(found[0].value)
        self.replace(value.start, value.end, f"CAST({text} AS {found[0].type})")

    def qualify(self) -> None:
        """Let columns that are named by way of a table's catalog or schema be named by way of the table alone."""
        for start, parts in self.attributes:
            for length in (3, 2):
                prefix = [part.lower() for part in parts[:length]]
                if len(prefix) == length and any(full[-length:] == prefix for full in self.relations):
                    if (end := name_end(self.text, start, parts[:length])) is not None:
                        self.replace(start, end, quoted(parts[length - 1]))
                    break

    def replace(self, start: int, end: int, text: str) -> None:
        if not 0 <= start <= end <= len(self.text):
            raise InvalidParameter(
                "A name of the statement can't be found in its text; write it more plainly."
            )
        self.edits[start, end] = text

    def edited(self) -> str:
        at, out = 0, []
        for (start, end), text in sorted(self.edits.items()):
            if start < at:
                raise InvalidParameter("Names of the statement overlap; write it more plainly.")
            out += [self.text[at:start], text]
            at = end
        return "".join(out) + self.text[at:]


def resolved(parts: Sequence[str], scope: Scope) -> str:
    """The full name that a name of one to three parts means. Raises NotFound for what can be no name, such as a path."""
    names = [part.lower() for part in parts]
    full = [*(scope.catalog, scope.schema)[: 3 - len(names)], *names]
    if len(names) > 3 or any("." in name or "/" in name or not name for name in names):
        raise NotFound(
            f"[TABLE_OR_VIEW_NOT_FOUND] {'.'.join(parts)!r} names nothing in the catalog; files are not read by their paths."
        )
    return ".".join(full)


def _sql(name: str) -> str:
    return quoted(*name.split(".", 1))
