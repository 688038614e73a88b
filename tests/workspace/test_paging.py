"""Lists by page: nothing twice, nothing left out, and tokens that are another's or too old are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs_lib.workspace.ground import paging
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.ground.errors import InvalidParameter

DAY = 24 * 60 * 60 * 1000


def page(
    ctx: Context, items: list[int], token: str | None = None, scope: str = "runs"
) -> tuple[list[int], str | None]:
    found, more = paging.page(ctx, scope, items, lambda item: [item], 3, token)
    return found, more.get("next_page_token")


def test_pages_hold_everything_once_whatever_comes_and_goes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, ())
    with workspace.transaction() as ctx:
        first, token = page(ctx, [1, 2, 3, 4, 5, 6, 7])
        assert (first, bool(token)) == ([1, 2, 3], True)
        second, token = page(ctx, [0, 1, 4, 6, 7, 8, 9], token)  # 2, 3 and 5 were deleted, 0, 8 and 9 came
        assert (second, bool(token)) == ([4, 6, 7], True)
        assert page(ctx, [0, 1, 4, 6, 7, 8, 9], token) == ([8, 9], None)
        assert page(ctx, [1, 2, 3]) == ([1, 2, 3], None)
        assert page(ctx, []) == ([], None)


def test_a_token_is_good_for_its_list_its_workspace_and_a_day(tmp_path: Path) -> None:
    one, other = Workspace(tmp_path / "one", ()), Workspace(tmp_path / "other", ())
    with one.transaction() as ctx, other.transaction() as elsewhere:
        token = page(ctx, [1, 2, 3, 4])[1]
        assert token
        for refused, says in (
            (lambda: page(ctx, [1, 2], token, "jobs"), "belongs to another list"),
            (lambda: page(elsewhere, [1, 2], token), "none that this workspace gave"),
            (lambda: page(ctx, [1, 2], token[:-4] + "AAAA"), "none that this workspace gave"),
            (lambda: page(ctx, [1, 2], "é"), "none that this workspace gave"),
            (lambda: page(ctx, [1, 2], "x" * 10_000), "none that this workspace gave"),
        ):
            with pytest.raises(InvalidParameter, match=says):
                refused()
        later = Context(ctx.db, ctx.now + DAY + 1, ctx.caller, ctx.home, ctx.services)
        with pytest.raises(InvalidParameter, match="older than a day"):
            page(later, [1, 2, 3, 4], token)
        assert page(ctx, [1, 2, 3, 4], token) == ([4], None)
    one.stop()
    other.stop()
