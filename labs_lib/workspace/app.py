"""The HTTP side: who asks, what the request says, one transaction around the answer, errors as the SDK maps them."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from pydantic_core import from_json
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from labs_lib.workspace import (
    catalog,
    compute,
    files,
    identity,
    jobs,
    notify,
    page,
    permissions,
    secrets,
    sql,
    state,
    system,
)
from labs_lib.workspace.ground import audit, clock
from labs_lib.workspace.ground.context import Caller, Request
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.ground.endpoints import Answer, Endpoint, Later, validated
from labs_lib.workspace.ground.errors import (
    Fault,
    InvalidParameter,
    MalformedRequest,
    NoSuchEndpoint,
    TooLarge,
    Unauthenticated,
    WorkspaceError,
)

# A service is added here, with one line. Permissions come last: what they speak of is loaded before them.
SERVICES: tuple[ModuleType, ...] = (
    audit,
    clock,
    identity,
    compute,
    catalog,
    sql,
    files,
    secrets,
    notify,
    jobs,
    system,
    permissions,
    state,
    page,
)

FAULT = "The workspace failed at this request, which is a fault of its own;"

log = logging.getLogger("labs.workspace")


def make(workspace: Workspace) -> Starlette:
    """The application of a workspace: a route an endpoint, and a sentence for every other path."""
    endpoints = [endpoint for service in workspace.services for endpoint in service.ENDPOINTS]
    routes = [
        Route(endpoint.path, _answering(workspace, endpoint), methods=[endpoint.method])
        for endpoint in endpoints
    ]
    routes.append(Route("/.well-known/databricks-config", _config, methods=["GET"]))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        workspace.start()
        yield
        await run_in_threadpool(workspace.stop)

    async def unknown(http: HttpRequest, _: Exception) -> Response:
        error = NoSuchEndpoint(_no_such(http.method, http.url.path, endpoints))
        return _refusal(error, _about(http), workspace)

    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: unknown, 405: unknown})


async def _config(_: HttpRequest) -> Response:
    """What the SDK asks for once, without a token."""
    return JSONResponse({})


def _answering(workspace: Workspace, endpoint: Endpoint) -> Callable[[HttpRequest], Any]:
    async def answer(http: HttpRequest) -> Response:
        request = _about(http)
        try:
            fields = await _fields(http, endpoint)
            answered = await run_in_threadpool(_answer, workspace, endpoint, _token(http), fields, request)
            response = answered if isinstance(answered, Response) else JSONResponse(answered or {})
        except WorkspaceError as error:
            if http.url.path == f"{page.PATH}/":
                response = page.refusal(error)
            else:
                return _refusal(error, request, workspace)
        except Exception:
            log.exception("request %s: %s %s", request.id, endpoint.method, endpoint.path)
            return _refusal(Fault(f"{FAULT} its log says why under {request.id}."), request, workspace)
        return _marked(response, request, workspace)

    return answer


def _refusal(error: WorkspaceError, request: Request, workspace: Workspace) -> Response:
    """A refusal as the SDK reads it."""
    told = {
        "@type": "type.googleapis.com/google.rpc.RequestInfo",
        "request_id": request.id,
        "serving_data": "",
    }
    body = {"error_code": error.error_code, "message": error.message, "details": [told]}
    return _marked(JSONResponse(body, error.status), request, workspace)


def _marked(response: Response, request: Request, workspace: Workspace) -> Response:
    response.headers["x-request-id"] = request.id
    response.headers["x-databricks-org-id"] = workspace.id
    return response


def _answer(
    workspace: Workspace, endpoint: Endpoint, token: str | None, fields: Mapping[str, Any], request: Request
) -> Mapping[str, Any] | Response | None:
    """What an endpoint answers, in one transaction. A refusal is rolled back and told to the audit log in a transaction of its own."""
    workspace.note_use()
    workspace.settle()
    told = {name: value for name, value in fields.items() if name not in endpoint.hidden}
    caller: Caller | None = None
    try:
        if not endpoint.anonymous:
            if token is None:
                raise Unauthenticated("There is no token; send the header Authorization: Bearer <token>.")
            with workspace.transaction() as ctx:
                caller = identity.caller_of(ctx, token)
        with workspace.transaction(caller or Caller("", ""), request) as ctx:
            answered: Answer = endpoint.handle(ctx, validated(endpoint.model, fields))
            if endpoint.audit and caller:
                audit.write(ctx.db, ctx.now, caller.user_name, endpoint.audit, told, request)
        return answered.finish() if isinstance(answered, Later) else answered
    except (OverflowError, UnicodeEncodeError) as error:
        refused: WorkspaceError = InvalidParameter(f"A value can't be kept: {error}.")
        refused.__cause__ = error
    except WorkspaceError as error:
        refused = error
    with workspace.transaction() as ctx:
        said = (request, refused.status, refused.message)
        if caller is None:
            owner = identity.owner_of(ctx.db, token) if token else None
            audit.write(ctx.db, ctx.now, owner, ("accounts", "tokenLogin"), {"path": endpoint.path}, *said)
        elif endpoint.audit:
            audit.write(ctx.db, ctx.now, caller.user_name, endpoint.audit, told, *said)
    raise refused


def _about(http: HttpRequest) -> Request:
    return Request(
        uuid.uuid4().hex,
        http.client.host if http.client else "",
        http.headers.get("user-agent", "")[:300],
    )


def _token(http: HttpRequest) -> str | None:
    """The bearer token; a browser, which can't send one by itself, keeps it in a cookie that the page sets."""
    scheme, _, token = http.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if http.url.path != f"{page.PATH}/":
        return None
    return http.query_params.get("token") or http.cookies.get(page.COOKIE.format(port=http.url.port))


async def _fields(http: HttpRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The request's fields: path, query, body; the path's count most."""
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    body: dict[str, Any] = {}
    if kind == "multipart/form-data":
        body = await _form(http, await _body(http, endpoint.max_body))
    elif raw := await _body(http, endpoint.max_body):
        body = {"contents": raw} if kind == "application/octet-stream" else _object(raw)
    # The SDK sends a list as a parameter that comes several times.
    model = endpoint.model.model_fields.items()
    lists = {field.alias or name for name, field in model if "list" in str(field.annotation)}
    query = {
        name: http.query_params.getlist(name) if name in lists else http.query_params[name]
        for name in http.query_params
    }
    return body | query | dict(http.path_params)


async def _body(http: HttpRequest, most: int) -> bytes:
    """The body, read no further than it may go."""
    parts, size = [], 0
    async for part in http.stream():
        size += len(part)
        if size > most:
            raise TooLarge(
                f"The body is larger than {most:,} bytes, which is the most that {http.url.path} takes."
            )
        parts.append(part)
    return b"".join(parts)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise MalformedRequest(f"The body is a JSON {type(found).__name__}; it has to be an object.")
    return found


async def _form(http: HttpRequest, raw: bytes) -> dict[str, Any]:
    """A form's fields as text, and its files as bytes."""

    async def again() -> dict[str, Any]:
        return {"type": "http.request", "body": raw, "more_body": False}

    try:
        async with HttpRequest(http.scope, again).form() as form:
            return {
                name: await value.read() if isinstance(value, UploadFile) else value
                for name, value in form.items()
            }
    except Exception as error:  # the parser has kinds of its own
        raise MalformedRequest(f"The body is no form: {getattr(error, 'detail', error)}.") from None


def _no_such(method: str, path: str, endpoints: list[Endpoint]) -> str:
    """A sentence for a path that is not there: what the workspace has that is like it."""
    same = sorted({endpoint.method for endpoint in endpoints if _pattern(endpoint).fullmatch(path)})
    if same:
        return f"{path[:200]} takes {', '.join(same)} and not {method}."
    service = re.match(r"/api/[\d.]+/(preview/scim/v2|[^/]+)", path)
    kin = [
        e
        for e in endpoints
        if service and re.match(r"/api/[\d.]+/" + re.escape(service[1]) + "(/|$)", e.path)
    ]
    if kin:
        there = ", ".join(dict.fromkeys(f"{e.method} {e.path}" for e in kin))
        return f"There is no {method} {path[:200]} in this workspace; of {service[1] if service else ''} it has {there}."
    names = sorted({e.path.split("/")[3] for e in endpoints if e.path.startswith("/api/2")})
    near = get_close_matches(service[1] if service else path, names, 3, 0.6)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    return (
        f"There is no {method} {path[:200]} in this workspace{meant}, which has of the REST interface what the course needs: "
        f"{', '.join(names)}."
    )


def _pattern(endpoint: Endpoint) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)(:path)?\\\}", r"[^/]+", re.escape(endpoint.path)))
