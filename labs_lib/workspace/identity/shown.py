"""Identities on the workspace's page."""

from __future__ import annotations

from collections.abc import Iterator

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.overview import Table
from labs_lib.workspace.identity import principals


def overview(ctx: Context) -> Iterator[Table]:
    """Users, service principals and groups."""
    users, others, groups = (principals.every(ctx.db, kind) for kind in ("User", "ServicePrincipal", "Group"))
    yield Table(
        "Users",
        ("User", "Name", "Active", "Groups"),
        [
            (
                each.name,
                each.body.get("displayName"),
                _word(each),
                ", ".join(sorted(principals.all_groups(ctx.db, each))),
            )
            for each in users
        ],
    )
    yield Table(
        "Service principals",
        ("Name", "Application id", "Active", "Groups"),
        [
            (
                each.body.get("displayName"),
                each.name,
                _word(each),
                ", ".join(sorted(principals.all_groups(ctx.db, each))),
            )
            for each in others
        ],
    )
    yield Table(
        "Groups",
        ("Group", "Members"),
        [
            (each.name, "everybody")
            if each.name == principals.EVERYBODY
            else (each.name, ", ".join(member.name for member in principals.direct_members(ctx.db, each)))
            for each in groups
        ],
    )


def _word(found: principals.Principal) -> str:
    return "yes" if found.active else "no"
