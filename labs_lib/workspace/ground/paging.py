"""Lists by page: a token says after which object the next page begins, and which list of which workspace it belongs to."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter

LIFETIME = 24 * 60 * 60 * 1000  # ms

T = TypeVar("T")
Key = list[int] | list[str] | list[int | str]


def page(
    ctx: Context, scope: str, items: Sequence[T], key: Callable[[T], Key], size: int, token: str | None
) -> tuple[list[T], dict[str, str]]:
    """The first `size` items that come after the token's place, and the next page's token as an answer says it; nothing on the last page.

    `items` are sorted by `key`, ascending, and `scope` names the list and what it was filtered by. Objects that were deleted or came in between
    move no page. Raises InvalidParameter for a token of another list or workspace, or one older than a day.
    """
    if token:
        after = _opened(ctx, scope, token)
        items = [item for item in items if key(item) > after]  # type: ignore[operator]
    found = list(items[:size])
    return found, {"next_page_token": _sealed(ctx, scope, key(found[-1]))} if len(items) > size else {}


def _sealed(ctx: Context, scope: str, key: Key) -> str:
    body = json.dumps([scope, ctx.now, key]).encode()
    return base64.urlsafe_b64encode(_seal(ctx, body) + body).decode()


def _opened(ctx: Context, scope: str, token: str) -> Any:
    try:
        raw = base64.urlsafe_b64decode(token)
    except ValueError:
        raw = b""
    body = raw[16:]
    if not hmac.compare_digest(raw[:16], _seal(ctx, body)):
        raise InvalidParameter("page_token is none that this workspace gave; begin the list anew without it.")
    of, at, key = json.loads(body)
    if of != scope:
        raise InvalidParameter(
            "page_token belongs to another list or filter; begin the list anew without it."
        )
    if ctx.now - at > LIFETIME:
        raise InvalidParameter("page_token is older than a day; begin the list anew without it.")
    return key


def _seal(ctx: Context, body: bytes) -> bytes:
    return hmac.digest(store.secret(ctx.db, "page_secret"), body, "sha256")[:16]
