"""SQL under an identity: the only way to tables that a caller's grants, filters and masks stand before."""

from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.sql import statements, warehouses

SCHEMA = statements.SCHEMA
ENDPOINTS = (*warehouses.ENDPOINTS, *statements.ENDPOINTS)


def prepare(ctx: Context) -> None:
    """Have the warehouse be everybody's to use; nothing runs yet."""
    warehouses.prepare(ctx)
    statements.prepare(ctx)


def start(services: Services) -> None:
    services.parts["sql"] = statements.Runner(services.home)


def busy(services: Services) -> bool:
    """Whether a statement waits or runs."""
    return bool(statements.runner(services).waiting)


def stop(services: Services) -> None:
    if running := services.parts.pop("sql", None):
        running.stop()


__all__ = ["ENDPOINTS", "SCHEMA", "busy", "prepare", "start", "stop"]
