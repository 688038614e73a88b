"""The declared catalog as JSON: who owns what, what is granted, masked, filtered, tagged and described."""

from __future__ import annotations

import uuid
from dataclasses import astuple, replace
from typing import Any

from pydantic import Field

from labs_lib.workspace.catalog import actions, store
from labs_lib.workspace.catalog.columns import columns_of
from labs_lib.workspace.catalog.model import KINDS, METASTORE, Catalog, Object, Policy, Tag, full_name
from labs_lib.workspace.catalog.privileges import GRANTABLE, Grant
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Strict, validated
from labs_lib.workspace.ground.errors import InvalidParameter

TYPE = r"^[A-Za-z_]+(\s*[<(][\w\s,:<>()]*[>)])?$"  # a type of SQL's and nothing behind it
SYSTEM = "system"  # the catalog that is nobody's to declare


class ColumnState(Strict):
    name: str = Field(max_length=255)
    type: str = Field(max_length=2000, pattern=TYPE)
    nullable: bool = True
    comment: str | None = Field(default=None, max_length=actions.MAX_TEXT)


class PolicyState(Strict):
    function: str
    columns: list[str] = Field(default_factory=list, max_length=50)


class ObjectState(Strict):
    kind: str = Field(pattern=f"^({'|'.join(KINDS)})$")
    name: str = Field(max_length=800)
    owner: str = Field(max_length=255)
    comment: str | None = Field(default=None, max_length=actions.MAX_TEXT)
    type: str = Field(default="", pattern="^(|MANAGED|EXTERNAL|VIEW)$")
    location: str | None = Field(default=None, max_length=2000)
    definition: str | None = Field(default=None, max_length=100_000)
    columns: list[ColumnState] = Field(default_factory=list, max_length=2000)
    parameters: list[ColumnState] = Field(default_factory=list, max_length=50)
    returns: str | None = Field(default=None, max_length=2000, pattern=TYPE)
    comments: dict[str, str] = Field(default_factory=dict, max_length=2000)
    masks: dict[str, PolicyState] = Field(default_factory=dict, max_length=2000)
    row_filter: PolicyState | None = None
    properties: dict[str, str] = Field(default_factory=dict, max_length=100)


class GrantState(Strict):
    kind: str
    name: str
    principal: str = Field(max_length=255)
    privilege: str


class TagState(Strict):
    kind: str
    name: str
    column: str = ""
    key: str = Field(max_length=127)
    value: str = Field(default="", max_length=256)


class CatalogState(Strict):
    objects: list[ObjectState] = Field(default_factory=list, max_length=actions.MAX_OBJECTS)
    grants: list[GrantState] = Field(default_factory=list, max_length=100_000)
    tags: list[TagState] = Field(default_factory=list, max_length=100_000)


def export(ctx: Context) -> dict[str, Any]:
    """All of it but the system's own catalog. Where a managed table's files lie is not declared."""
    catalog = store.read(ctx.db)
    return {
        "objects": [_shown(each) for each in catalog.objects.values() if each.parts[0] != SYSTEM],
        "grants": [vars(grant) for grant in sorted(catalog.grants, key=astuple)],
        "tags": [vars(tag) for tag in catalog.tags],
    }


def _shown(each: Object) -> dict[str, Any]:
    location = each.location if each.type == "EXTERNAL" else None
    told = replace(each, location=location, columns=columns_of(replace(each, comments={})))
    return store.OBJECT.dump_python(told, mode="json", include=set(ObjectState.model_fields))


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly this catalog beside the system's. Raises InvalidParameter, NotFound.

    A table that is there already keeps its files, so a judge lays tables first and loads what was declared of them afterwards.
    """
    wanted = validated(CatalogState, state)
    before = store.read(ctx.db)
    system = [each for each in before.objects.values() if each.parts[0] == SYSTEM]
    objects = {each.key: each for each in [*system, *(_object(ctx, told, before) for told in wanted.objects)]}
    if len(objects) != len(system) + len(wanted.objects):
        raise InvalidParameter("The state names an object twice.")
    grants = frozenset(Grant(**told.model_dump()) for told in wanted.grants)
    tags = tuple(Tag(**told.model_dump()) for told in wanted.tags)
    _check(ctx, Catalog(objects, grants, tags))
    store.clear(ctx.db)
    for each in objects.values():
        store.save(ctx.db, each)
    store.change_grants(ctx.db, grants, frozenset())
    for tag in tags:
        store.set_tags(ctx.db, tag.kind, tag.name, tag.column, {tag.key: tag.value})


def _object(ctx: Context, told: ObjectState, before: Catalog) -> Object:
    name = full_name(told.name.split("."), told.kind)
    if name.split(".")[0] == SYSTEM:
        raise InvalidParameter(f"'{name}' is the system's, and nobody's to declare.")
    actions.check_principal(ctx, told.owner)
    known = before.find(told.kind, name)
    id = known.id if known else str(uuid.uuid4())
    files = told.kind == "TABLE" and told.type != "VIEW"
    location = None
    if files and told.location is not None and not known:
        location = actions.own_location(ctx, before, told.location)
    elif files:
        location = known.location if known else str(actions.managed_folder(ctx.home, id, name))
    masks = {column.lower(): _policy(mask) for column, mask in told.masks.items()}
    at, by = (known.created_at, known.created_by) if known else (ctx.now, ctx.caller.user_name)
    stamps = {"created_at": at, "created_by": by, "updated_at": ctx.now, "updated_by": ctx.caller.user_name}
    rows = _policy(told.row_filter) if told.row_filter else None
    changed = {"name": name, "id": id, "location": location, "masks": masks, "row_filter": rows}
    return store.OBJECT.validate_python({**told.model_dump(), **changed, **stamps})


def _policy(told: PolicyState) -> Policy:
    return Policy(told.function.lower(), tuple(told.columns))


def _check(ctx: Context, catalog: Catalog) -> None:
    """Whether what it says of itself holds together: parents, functions of policies, principals and what can be granted where."""
    for each in catalog.objects.values():
        catalog.securable(*each.key)
        for function in each.functions:
            catalog.get("FUNCTION", function)
    for grant in catalog.grants:
        if grant.kind not in GRANTABLE or (grant.kind == "METASTORE") != (grant.name == METASTORE):
            raise InvalidParameter(
                f"A grant speaks of {grant.kind[:40]!r} '{grant.name[:80]}', which is no securable."
            )
        kind = grant.kind if grant.kind == "METASTORE" else catalog.get(grant.kind, grant.name).kind
        if grant.privilege not in GRANTABLE[kind]:
            raise InvalidParameter(
                f"Privilege {grant.privilege[:40]} is not applicable to {kind} '{grant.name}'."
            )
        actions.check_principal(ctx, grant.principal)
    for tag in catalog.tags:
        catalog.get(tag.kind, tag.name)
