"""The page, drawn on the server without a script. A browser brings the token once, in the address, and keeps it in a cookie for this path."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse, Response

from labs_lib.workspace import identity
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.page.tables import Table, moment, tables

if TYPE_CHECKING:
    from jinja2 import Environment

PATH = "/page"
# With the port: a browser gives a cookie of 127.0.0.1 to every port there.
COOKIE = "labs-workspace-{port}"
MOST = 200  # rows of a table
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Which(Model):
    token: str | None = None


def _show(ctx: Context, wanted: Which) -> Response:
    identity.require_admin(ctx, "sees the workspace's page")
    if wanted.token is not None:  # out of the address, so that it stands in no history and no picture
        answer = RedirectResponse(f"{PATH}/", 303, HEADERS)
        name = COOKIE.format(port=ctx.services.address.rpartition(":")[2])
        answer.set_cookie(name, wanted.token, path=PATH, httponly=True, samesite="strict")
        return answer
    shown, when = [_cut(table) for table in tables(ctx)], f"{moment(ctx.now)} UTC"
    return _drawn("workspace.html", tables=shown, when=when, home=ctx.home)


def refusal(error: WorkspaceError) -> Response:
    """A refusal for people: its sentence, and where the token is to be had."""
    return _drawn("refused.html", error.status, sentence=error.message)


def _home(_: Context, __: Model) -> Response:
    return RedirectResponse(f"{PATH}/", 303)


def _cut(table: Table) -> dict[str, Any]:
    rows = [["" if value is None else value for value in row] for row in table.rows]
    return {"title": table.title, "columns": table.columns, "rows": rows[:MOST], "all": len(rows)}


def _drawn(name: str, status: int = 200, **values: Any) -> Response:
    return HTMLResponse(_templates().get_template(name).render(values), status, HEADERS)


@functools.cache
def _templates() -> Environment:
    from jinja2 import (  # late: most workspaces' pages are never looked at
        Environment,
        PackageLoader,
        StrictUndefined,
    )

    return Environment(
        loader=PackageLoader("labs_lib.workspace.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )


ENDPOINTS: Iterable[Endpoint] = (
    Endpoint("GET", "/", _home, anonymous=True),
    Endpoint("GET", PATH, _home, anonymous=True),
    Endpoint("GET", f"{PATH}/", _show, Which, hidden=frozenset({"token"})),
)
