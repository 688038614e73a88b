"""The catalog's grants on the workspace's page."""

from __future__ import annotations

from collections.abc import Iterator

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.overview import Table


def overview(ctx: Context) -> Iterator[Table]:
    """What there is and who owns it, and who was granted what."""
    objects = ctx.db.execute("SELECT kind, name, owner FROM uc_objects ORDER BY name, kind")
    yield Table("Catalog", ("Kind", "Name", "Owner"), [tuple(row) for row in objects])
    grants = ctx.db.execute(
        "SELECT kind, name, principal, privilege FROM uc_grants ORDER BY name, kind, principal, privilege"
    )
    yield Table("Grants", ("Kind", "On", "Who", "Privilege"), [tuple(row) for row in grants])
