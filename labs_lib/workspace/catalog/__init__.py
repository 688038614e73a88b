"""Unity Catalog: what there is, who owns it, who may what with it."""

from labs_lib.workspace.catalog import actions, routes, state, store
from labs_lib.workspace.catalog.model import Object
from labs_lib.workspace.ground.context import Context

SCHEMA = store.SCHEMA
ENDPOINTS = routes.ENDPOINTS
export = state.export
load = state.load


def prepare(ctx: Context) -> None:
    """What a new workspace begins with: the catalog `main` with its schema `default`, which the group of admins owns."""
    if store.read(ctx.db).find("CATALOG", "main") is None:
        for kind, name in (("CATALOG", "main"), ("SCHEMA", "main.default")):
            made = Object(kind, name, "admins", id=f"{name}-0", created_at=ctx.now, created_by="System user")
            store.save(ctx.db, made)


__all__ = ["ENDPOINTS", "SCHEMA", "actions", "export", "load", "prepare"]
