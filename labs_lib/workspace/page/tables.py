"""What people look at: the workspace's tables, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.policies import routes as policies
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.identity import principals
from labs_lib.workspace.permissions import lists

JOBS = "SELECT id, json_extract(settings, '$.name') AS name, run_as, next_fire FROM jobs ORDER BY id"
RUNS = """
SELECT id, json_extract(settings, '$.name') AS name, ifnull(result, life), "trigger", run_as, asked, began, ended, message FROM runs ORDER BY id DESC
"""
OBJECTS = "SELECT kind, name, owner FROM uc_objects ORDER BY name, kind"
GRANTS = "SELECT kind, name, principal, privilege FROM uc_grants ORDER BY name, kind, principal, privilege"


@dataclass(frozen=True)
class Table:
    """A table of the page. Values are shown as text, whatever they hold."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def moment(ms: int | None) -> str:
    """A time of the workspace's, in ms since 1970, for people; nothing for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms else ""


def tables(ctx: Context) -> Iterator[Table]:
    """All of them."""
    rows: Sequence[Sequence[object]]
    columns: Sequence[str]
    titles: dict[principals.Kind, str] = {"User": "Users", "ServicePrincipal": "Service principals"}
    for kind, title in titles.items():
        rows = [
            (each.name, each.body.get("displayName"), "yes" if each.active else "no", _groups(ctx, each))
            for each in principals.every(ctx.db, kind)
        ]
        yield Table(title, ("User" if kind == "User" else "Application id", "Name", "Active", "Groups"), rows)
    groups = principals.every(ctx.db, "Group")
    members = {
        each.name: ", ".join(one.name for one in principals.direct_members(ctx.db, each)) for each in groups
    }
    yield Table("Groups", ("Group", "Members"), list((members | {principals.EVERYBODY: "everybody"}).items()))
    columns = ("Cluster", "State", "Owner", "Node type or pool", "Workers", "Started", "Ended")
    yield Table("Clusters", columns, [_cluster(each) for each in reversed(lifecycle.every(ctx))])
    bodies = [body for _, body in store.every(ctx.db, policies.KIND)]
    rows = [(body["name"], body.get("creator_user_name"), body["definition"]) for body in bodies]
    yield Table("Cluster policies", ("Policy", "Creator", "Definition"), rows)
    yield Table("Catalog", ("Kind", "Name", "Owner"), [tuple(row) for row in ctx.db.execute(OBJECTS)])
    yield Table("Grants", ("Kind", "On", "Who", "Privilege"), [tuple(row) for row in ctx.db.execute(GRANTS)])
    jobs = [(id, name, run_as, moment(fires)) for id, name, run_as, fires in ctx.db.execute(JOBS)]
    yield Table("Jobs", ("Job", "Name", "Runs as", "Next run"), jobs)
    runs = [(*row[:5], *map(moment, row[5:8]), row[8]) for row in ctx.db.execute(RUNS)]
    columns = ("Run", "Job", "State", "Trigger", "Runs as", "Asked for", "Began", "Ended", "Message")
    yield Table("Runs", columns, runs)
    held = ctx.db.execute(f"{lists.NAMED} ORDER BY object_type, object_id, kind, name")
    rows = [(f"{row['object_type']}/{row['object_id']}", row["name"], row["level"]) for row in held]
    yield Table("Permissions", ("Object", "Who", "Level"), rows)


def _groups(ctx: Context, each: principals.Principal) -> str:
    return ", ".join(sorted(principals.all_groups(ctx.db, each)))


def _cluster(each: lifecycle.Cluster) -> tuple[object, ...]:
    machines = each.spec.get("node_type_id") or each.spec.get("instance_pool_id")
    times = (moment(each.started), moment(each.ended))
    return (each.spec.get("cluster_name"), each.state, each.owner, machines, each.workers, *times)
