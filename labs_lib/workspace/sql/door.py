"""A statement's way: read by its own grammar or by Spark's parser, guarded, rewritten, analysed, asked again, and only then run."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from labs_lib.engine.sql import literal
from labs_lib.workspace.catalog import actions, store
from labs_lib.workspace.catalog.columns import type_text
from labs_lib.workspace.catalog.model import Catalog, Column, Object, full_name
from labs_lib.workspace.catalog.privileges import MANAGE, Who
from labs_lib.workspace.ground import audit
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, PermissionDenied
from labs_lib.workspace.identity import principals
from labs_lib.workspace.sql import governance, grammar, guard, information
from labs_lib.workspace.sql.jvm import Jvm, Result
from labs_lib.workspace.sql.model import MAX_TEXT, Answer, Failed, Statement
from labs_lib.workspace.sql.plan import Node, node
from labs_lib.workspace.sql.rewrite import Rewriter, Scope, resolved

MAX_PARSES = 2000  # texts of views and functions whose plans are kept

_INTERNAL = re.compile(r"(?:`?spark_catalog`?\.)?`?([tu]_[0-9a-z_]+)`?\.`?(\w+)`?")


@dataclass(frozen=True)
class _Asked:
    """A statement with the catalog at the moment at which it began, and what everybody in it is."""

    statement: Statement
    catalog: Catalog
    who: Who
    who_is: dict[str, Who]

    @property
    def scope(self) -> Scope:
        return Scope(self.who, self.statement.catalog, self.statement.schema)

    @property
    def place(self) -> dict[str, str]:
        """Where names of fewer parts are looked for, as an object that is made keeps it."""
        return {"catalog": self.statement.catalog, "schema": self.statement.schema}


class Door:
    """The one way to tables under an identity. Its JVM starts with the first statement that needs it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._jvm: Jvm | None = None
        self._starting = threading.Lock()
        self._preparing = threading.Lock()  # what Spark holds is made by one statement at a time
        self._holds: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._parsed = lru_cache(MAX_PARSES)(lambda text: _node(self.jvm.parse(text)))

    @property
    def jvm(self) -> Jvm:
        """The JVM, started anew if it is gone. Raises LabsError."""
        with self._starting:
            if self._jvm is None or not self._jvm.is_alive:
                self._jvm = Jvm(self._home / "door")
                self._holds.clear()
            return self._jvm

    def stop(self) -> None:
        with self._starting:
            if self._jvm:
                self._jvm.stop()
                self._jvm = None

    def cancel(self, statement_id: str) -> None:
        self._cancelled.add(statement_id)  # first: it may not have come to the JVM yet
        if self._jvm:
            with contextlib.suppress(Exception):
                self._jvm.cancel(statement_id)

    def execute(self, services: Services, statement: Statement) -> Answer:
        """Do it all. Raises WorkspaceError for what is refused, Failed for what Spark says, both with a sentence that holds no value
        which the caller may not see.
        """
        text = statement.text.strip()
        text = text[:-1].rstrip() if text.endswith(";") else text
        if not text or len(text) > MAX_TEXT:
            raise InvalidParameter(
                f"A statement has 1 to {MAX_TEXT:,} characters; this one has {len(text):,}."
            )
        if command := grammar.read(text):
            with services.transaction(statement.caller, statement.request) as ctx:
                table = governance.perform(ctx, command, statement.catalog, statement.schema)
            columns = tuple((name, "string") for name in table.columns)
            kind = "SHOW" if columns else command.verb.split("_")[0].upper()
            return Answer(columns, [*table.rows], kind=kind)
        asked = self._asked(services, statement)
        plan = _node(self.jvm.parse(text))
        root = guard.root_of(plan)
        return _ROOTS[root](self, services, asked, text, plan)

    def _asked(self, services: Services, statement: Statement) -> _Asked:
        with services.transaction(statement.caller) as ctx:
            catalog = store.read(ctx.db)
            read = (each for each in catalog.objects.values() if each.is_view or each.kind == "FUNCTION")
            owners = {owner: _who_is(ctx, owner) for owner in {each.owner for each in read}}
            return _Asked(statement, catalog, actions.who(ctx), owners)

    def _rewriter(self, asked: _Asked) -> Rewriter:
        def rows(within: str, table: str) -> str | None:
            return information.query(asked.catalog, asked.who, within, table)

        caller = asked.statement.caller
        return Rewriter(asked.catalog, caller.user_name, caller.groups, asked.who_is, self._parsed, rows)

    def _analysed(self, rewriter: Rewriter, text: str, target: str = "") -> Any:
        """The analysed plan of a rewritten text, asked again. Raises Failed, PermissionDenied."""
        with self._preparing, _translated(rewriter):
            for name, statement in rewriter.made.items():
                self._hold(name, statement)
            plan, shown = self.jvm.analyse(text)
        allowed = {name: frozenset(tables) for name, tables in rewriter.allowed.items()}
        guard.check_analysed(_node(shown), allowed, target)
        return plan

    def _hold(self, name: str, statement: str) -> None:
        if self._holds.get(name) == statement:
            return
        database = name.split(".")[0]
        if database not in self._holds:
            self.jvm.sql(f"CREATE DATABASE IF NOT EXISTS `{database}`")
            self._holds[database] = ""
        self.jvm.sql(statement)
        self._holds[name] = statement

    def _run(self, asked: _Asked, rewriter: Rewriter, plan: Any, limit: int) -> Result:
        if asked.statement.id in self._cancelled:
            raise Failed("The statement was cancelled before it ran.")
        with _translated(rewriter):
            return self.jvm.run(plan, asked.statement.id, limit)

    # Kinds of statements

    def query(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        rewriter = self._rewriter(asked)
        rewritten = rewriter.rewrite(text, plan, asked.scope, parameters=asked.statement.parameters)
        limit = asked.statement.limit
        found = self._run(asked, rewriter, self._analysed(rewriter, rewritten), limit + 1)
        return _answer(found, limit, "SELECT", rewriter.read)

    def change(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        """INSERT, UPDATE, DELETE, MERGE: what is read is the caller's view of it; what is changed is the table itself."""
        verb = {"InsertIntoStatement": "INSERT", "UpdateTable": "UPDATE", "DeleteFromTable": "DELETE"}.get(
            plan.name, "MERGE"
        )
        target = _target(plan)
        name = resolved(target.parts("multipartIdentifier"), asked.scope)
        found = asked.catalog.get("TABLE", name)
        asked.catalog.require(asked.who, "TABLE", name, "MODIFY")
        if found.is_view:
            raise InvalidParameter(f"'{name}' is a view; {verb} changes tables.")
        if verb != "INSERT":
            asked.catalog.require(asked.who, "TABLE", name, "SELECT")
            if found.is_protected:
                raise PermissionDenied(
                    f"'{name}' has a row filter or masks; {verb} would tell of rows and values that they hide, so it is not offered."
                )
        _of_people(name)
        rewriter = self._rewriter(asked)
        base = rewriter.base(found)
        rewritten = rewriter.rewrite(
            text, plan, asked.scope, parameters=asked.statement.parameters, target=(target, base)
        )
        result = self._run(asked, rewriter, self._analysed(rewriter, rewritten, base), asked.statement.limit)
        return _answer(result, asked.statement.limit, verb, rewriter.read, name)

    def table(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        """CREATE TABLE, with a query or without, and CREATE OR REPLACE of one that the caller may manage."""
        parts = resolved(plan.fields["name"].parts("nameParts"), asked.scope).split(".")
        name = full_name(parts, "TABLE")
        spec = plan.fields["tableSpec"].fields
        if (spec.get("provider") or "delta").lower() != "delta":
            raise InvalidParameter(f"USING {spec['provider']} is not offered here: tables are Delta tables.")
        if plan.fields["tableSpec"].fields["optionExpression"].fields["options"]:
            raise InvalidParameter("OPTIONS are not offered here.")
        known = asked.catalog.find("TABLE", name)
        replaces = plan.name.startswith("Replace")
        if known and not replaces:
            if plan.fields["ignoreIfExists"] == "true":
                return Answer(kind="CREATE")
            raise AlreadyExists(f"[TABLE_OR_VIEW_ALREADY_EXISTS] Table '{name}' already exists.")
        if known:
            asked.catalog.require(asked.who, "TABLE", name, MANAGE)
            _of_people(name)
            if known.is_view or known.type == "EXTERNAL":
                raise InvalidParameter(
                    f"'{name}' is {'a view' if known.is_view else 'an external table'} and can't be replaced by a table."
                )
        elif replaces and plan.fields["orCreate"] != "true":
            raise InvalidParameter(f"[TABLE_OR_VIEW_NOT_FOUND] Table '{name}' cannot be found.")
        else:
            asked.catalog.require(asked.who, "SCHEMA", ".".join(parts[:2]), "CREATE_TABLE")
        made, again = known or self._new_table(services, asked, name, spec), known is not None
        rewriter = self._rewriter(asked)
        base = rewriter.base(made) if again else rewriter.named("t", made)
        rewritten = rewriter.rewrite(
            text, plan, asked.scope, parameters=asked.statement.parameters, target=(plan.fields["name"], base)
        )
        try:
            if not again:
                self._database_at(base, made)
            self._run(asked, rewriter, self._analysed(rewriter, rewritten, base), 0)
            if not again:
                fields = {"comment": spec["comment"], "location": spec["location"]}
                with services.transaction(asked.statement.caller, asked.statement.request) as ctx:
                    actions.create(ctx, "TABLE", parts, id=made.id, type=made.type, **fields)
                    _tell(ctx, "createTable", name)
        except BaseException:
            if not again and made.type == "MANAGED":
                shutil.rmtree(Path(made.location or "").parent, ignore_errors=True)
            raise
        return Answer(kind="CREATE", reads=frozenset(rewriter.read), writes=name)

    def _new_table(self, services: Services, asked: _Asked, name: str, spec: dict[str, Any]) -> Object:
        id = str(uuid.uuid4())
        if spec["location"] is None:
            folder = str(actions.managed_folder(self._home, id, name))
            return Object("TABLE", name, "", id, type="MANAGED", location=folder)
        with services.transaction(asked.statement.caller) as ctx:
            location = actions.own_location(ctx, asked.catalog, spec["location"])
        return Object("TABLE", name, "", id, type="EXTERNAL", location=location)

    def _database_at(self, base: str, made: Object) -> None:
        """A database for the one table: where its folder is, a new managed table's files are laid."""
        database, folder = base.split(".")[0], str(Path(made.location or "").parent)
        with self._preparing:
            self.jvm.sql(f"CREATE DATABASE IF NOT EXISTS `{database}` LOCATION {literal(folder)}")
            self._holds[database] = ""

    def alter(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        """Columns added, dropped, renamed, changed; properties. A column that a policy uses stays as it is."""
        target = plan.fields["table"]
        name = resolved(target.parts("multipartIdentifier"), asked.scope)
        found = asked.catalog.get("TABLE", name)
        asked.catalog.require(asked.who, "TABLE", name, "MODIFY" if plan.name == "AddColumns" else MANAGE)
        _of_people(name)
        harmless = ("AddColumns", "SetTableProperties", "UnsetTableProperties")
        if found.is_protected and plan.name not in harmless:
            raise PermissionDenied(
                f"'{name}' has a row filter or masks; take them off before its columns are changed."
            )
        rewriter = self._rewriter(asked)
        base = rewriter.base(found)
        rewritten = rewriter.rewrite(text, plan, asked.scope, target=(target, base))
        self._run(asked, rewriter, self._analysed(rewriter, rewritten, base), 0)
        with services.transaction(asked.statement.caller, asked.statement.request) as ctx:
            _tell(ctx, "updateTables", name)
        return Answer(kind="ALTER", writes=name)

    def view(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        """CREATE VIEW: the query is kept as it was written, and read with its owner's rights each time."""
        parts = _new_name(plan, asked, "TABLE")
        query = str(plan.fields["originalText"])
        if any(each.name in ("NamedParameter", "PosParameter") for each in plan.walk()):
            raise InvalidParameter("A view's query can't hold parameters.")
        guard.check(plan)
        rewriter = self._rewriter(asked)
        rewritten = rewriter.rewrite(query, self._parsed(query), asked.scope)
        schema = self.jvm.schema(self._analysed(rewriter, rewritten))
        given = plan.fields["userSpecifiedColumns"]
        if given and len(given) != len(schema):
            raise InvalidParameter(f"The view names {len(given)} columns, and its query has {len(schema)}.")
        names = [str(each[0]) for each in given] or [each["name"] for each in schema]
        if len({each.lower() for each in names}) != len(names):
            raise InvalidParameter("The view's query has two columns of one name; give them names.")
        comments = {str(each[0]).lower(): str(each[1]) for each in given if each[1] is not None}
        columns = tuple(
            Column(each, type_text(found["type"])) for each, found in zip(names, schema, strict=True)
        )
        fields: dict[str, Any] = {
            "type": "VIEW",
            "definition": query,
            "columns": columns,
            "comments": comments,
            "comment": plan.fields["comment"],
            "properties": {**asked.place, "columns": "given" if given else "own"},
        }
        self._keep(services, asked, "TABLE", parts, plan, fields)
        return Answer(kind="CREATE", reads=frozenset(rewriter.read), writes=".".join(parts))

    def function(self, services: Services, asked: _Asked, text: str, plan: Node) -> Answer:
        """CREATE FUNCTION ... RETURN: an expression or a query in SQL."""
        parts = _new_name(plan, asked, "FUNCTION")
        fields = plan.fields
        in_sql = fields["language"].name == "LanguageSQL$" and fields["isTableFunc"] != "true"
        if not in_sql or not fields["returnTypeText"]:
            raise InvalidParameter(
                "Functions here are in SQL and return a value of a type that is written down (RETURNS ... RETURN ...)."
            )
        if guard.is_own(parts[-1:]) or parts[-1] in guard.USER | guard.MEMBER | guard.PLACE:
            raise InvalidParameter(f"{parts[-1]!r} is a function of Spark's own; choose another name.")
        taken = self.jvm.columns(str(fields["inputParamText"] or ""))
        made = Object(
            "FUNCTION",
            ".".join(parts),
            asked.statement.caller.user_name,
            str(uuid.uuid4()),
            definition=str(fields["exprText"] or fields["queryText"]),
            parameters=tuple(Column(each["name"], type_text(each["type"])) for each in taken),
            returns=str(fields["returnTypeText"]).lower(),
            comment=fields["comment"],
            properties={**asked.place, "body": "query" if fields["queryText"] else "expression"},
        )
        asked.who_is.setdefault(made.owner, asked.who)
        rewriter = self._rewriter(asked)
        name = rewriter.made_of(made)
        with self._preparing, _translated(rewriter):
            for each, statement in rewriter.made.items():
                self._hold(each, statement)
            self.jvm.sql(f"DROP FUNCTION IF EXISTS `{name.replace('.', '`.`')}`")
        names = ("definition", "parameters", "returns", "comment", "properties")
        kept = {each: getattr(made, each) for each in names}
        self._keep(services, asked, "FUNCTION", parts, plan, kept)
        return Answer(kind="CREATE", writes=made.name)

    def _keep(
        self,
        services: Services,
        asked: _Asked,
        kind: str,
        parts: list[str],
        plan: Node,
        fields: dict[str, Any],
    ) -> None:
        """Create a view or function, or replace one that the caller may manage."""
        name, action = ".".join(parts), "createTable" if kind == "TABLE" else "createFunction"
        lenient = plan.fields.get("allowExisting", plan.fields.get("ignoreIfExists")) == "true"
        if lenient and asked.catalog.find(kind, name):
            return
        with services.transaction(asked.statement.caller, asked.statement.request) as ctx:
            known = store.read(ctx.db).find(kind, name)
            if known and plan.fields["replace"] == "true":
                if known.type != fields.get("type", ""):
                    raise InvalidParameter(f"'{name}' is a table and can't be replaced by a view.")
                actions.alter(ctx, kind, name, **fields)
            else:
                actions.create(ctx, kind, parts, **fields)
            _tell(ctx, action, name)


_ROOTS: dict[guard.Root, Callable[[Door, Services, _Asked, str, Node], Answer]] = {
    "query": Door.query,
    "change": Door.change,
    "table": Door.table,
    "alter": Door.alter,
    "view": Door.view,
    "function": Door.function,
}


def _node(value: dict[str, Any]) -> Node:
    try:
        found = node(value)
    except RecursionError:
        raise InvalidParameter("The statement is nested too deeply.") from None
    assert isinstance(found, Node)
    return found


def _new_name(plan: Node, asked: _Asked, kind: str) -> list[str]:
    """The parts of the full name of what a statement makes. Raises InvalidParameter."""
    return full_name(resolved(plan.fields["child"].parts("nameParts"), asked.scope).split("."), kind).split(
        "."
    )


def _target(plan: Node) -> Node:
    """The relation that a statement changes."""
    found = plan.fields["targetTable" if plan.name == "MergeIntoTable" else "table"]
    while isinstance(found, Node) and found.name == "SubqueryAlias":
        found = found.fields["child"]
    if not isinstance(found, Node) or found.name != "UnresolvedRelation":
        raise InvalidParameter("What the statement changes has to be a table's name, written plainly.")
    return found


def _answer(found: Result, limit: int, kind: str, reads: set[str], writes: str | None = None) -> Answer:
    columns = tuple((each["name"], type_text(each["type"])) for each in found.fields)
    return Answer(columns, found.rows[:limit], len(found.rows) > limit, kind, frozenset(reads), writes)


def _who_is(ctx: Context, owner: str) -> Who:
    """An owner as privileges see them. A group owns with its own name and those of the groups above it."""
    principal = principals.named(ctx, owner) or principals.find(ctx.db, "Group", owner)
    groups = principals.all_groups(ctx.db, principal) if principal else frozenset[str]()
    return Who.of(owner, groups)


def _of_people(name: str) -> None:
    if name.split(".")[0] == "system":
        raise PermissionDenied(f"Table '{name}' is the system's, and nobody's to change.")


def _tell(ctx: Context, action: str, name: str) -> None:
    told = ("unityCatalog", action)
    audit.write(ctx.db, ctx.now, ctx.caller.user_name, told, {"full_name_arg": name}, ctx.request)


@contextlib.contextmanager
def _translated(rewriter: Rewriter) -> Any:
    """What Spark says in the block, with names as people know them. Once it runs, a sentence could hold a value that the caller may not
    see, such as one that a mask's own function failed at: then only its class is told.
    """
    try:
        yield
    except Failed as error:
        if error.running and rewriter.is_guarded:
            text = f"[{error.error_class or 'FAILED'}] The statement failed while it ran; Spark's sentence is withheld, since it may hold values that are hidden from you."
        else:
            text = _INTERNAL.sub(
                lambda found: rewriter.names.get(f"{found[1]}.{found[2]}", found[2]), str(error)
            )
        raise Failed(text, error.error_class, error.running) from None
