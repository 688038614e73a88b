"""The declared state of all services as one piece of JSON: what `state` answers hold, and what a judge loads into a workspace of its own."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from labs_lib.workspace import identity
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import InvalidParameter

SCHEMA = ""
MAX_STATE = 8 * 2**20  # bytes


class State(Model):
    """A section a service, by the service's name."""

    model_config = ConfigDict(extra="allow")


def _export(ctx: Context, _: Model) -> dict[str, Any]:
    identity.require_admin(ctx, "exports the workspace's state")
    return {name: service.export(ctx) for name, service in _services(ctx).items()}


def _load(ctx: Context, wanted: State) -> dict[str, Any]:
    """Have each service that the state names hold exactly what it says: all of it, or nothing if anything is wrong."""
    identity.require_admin(ctx, "loads state into the workspace")
    services = _services(ctx)
    told = wanted.model_extra or {}
    for name, section in told.items():
        if name not in services:
            raise InvalidParameter(
                f"The state has a section {name[:80]!r}; it may have {', '.join(services)}."
            )
        if not isinstance(section, dict):
            raise InvalidParameter(
                f"The state's section {name!r} is a {type(section).__name__}; it has to be an object."
            )
    for name, service in services.items():
        if name in told:
            try:
                service.load(ctx, told[name])
            except InvalidParameter as error:
                raise InvalidParameter(f"{name}: {error}") from None
    return {"loaded": [name for name in services if name in told]}


def _services(ctx: Context) -> dict[str, Any]:
    """The services that have state, in the order of loading."""
    return {
        service.__name__.rpartition(".")[2]: service
        for service in ctx.services.services
        if hasattr(service, "export")
    }


ENDPOINTS = (
    Endpoint("GET", "/api/labs/state", _export),
    Endpoint("PUT", "/api/labs/state", _load, State, max_body=MAX_STATE),
)
