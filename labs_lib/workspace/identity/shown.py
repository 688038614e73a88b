"""Identities on the workspace's page."""

from __future__ import annotations

from collections.abc import Iterator

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.overview import Table
from labs_lib.workspace.identity import principals


def overview(ctx: Context) -> Iterator[Table]:
    """Users, service principals and groups."""
    titles: dict[principals.Kind, str] = {"User": "Users", "ServicePrincipal": "Service principals"}
    for kind, title in titles.items():
        rows = [
            (
                each.name,
                each.body.get("displayName"),
                "yes" if each.active else "no",
                ", ".join(sorted(principals.all_groups(ctx.db, each))),
            )
            for each in principals.every(ctx.db, kind)
        ]
        yield Table(title, ("User" if kind == "User" else "Application id", "Name", "Active", "Groups"), rows)
    groups = principals.every(ctx.db, "Group")
    members = {
        each.name: ", ".join(one.name for one in principals.direct_members(ctx.db, each)) for each in groups
    }
    members[principals.EVERYBODY] = "everybody"
    yield Table("Groups", ("Group", "Members"), list(members.items()))
