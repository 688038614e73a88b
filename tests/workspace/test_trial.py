"""A judge's workspace: it holds a state, is asked as anybody, undoes what was only tried, and its time stands until it is told to go on."""

from __future__ import annotations

import pytest

from labs_lib.workspace.ground.errors import NotFound, PermissionDenied
from labs_lib.workspace.trial import BEGIN, trial

STATE = {
    "identity": {
        "users": [{"userName": "ana@example.com"}, {"userName": "ben@example.com", "active": False}],
        "groups": [{"displayName": "team", "members": [{"value": "ana@example.com"}]}],
    },
    "compute": {
        "pools": [
            {
                "instance_pool_id": "pool-000700",
                "instance_pool_name": "team",
                "node_type_id": "m5.large",
                "max_capacity": 3,
            }
        ]
    },
    "permissions": {
        "grants": [
            {
                "object_type": "instance-pools",
                "object_id": "pool-000700",
                "group_name": "team",
                "permission_level": "CAN_ATTACH_TO",
            }
        ]
    },
}
POOL = {"instance_pool_id": "pool-000700"}
GET, EDIT = "/api/2.0/instance-pools/get", "/api/2.0/instance-pools/edit"
CHANGED = {**POOL, "instance_pool_name": "team", "node_type_id": "m5.large", "max_capacity": 9}


def test_it_is_asked_in_peoples_names() -> None:
    with trial(STATE) as w:
        assert w.would("GET", GET, "ana@example.com", **POOL)
        assert not w.would("POST", EDIT, "ana@example.com", **CHANGED)
        for nobody in ("ben@example.com", "eve@example.com"):
            assert not w.would("GET", GET, nobody, **POOL), nobody
        with pytest.raises(PermissionDenied):
            w.ask("POST", EDIT, "ana@example.com", **CHANGED)
        with pytest.raises(NotFound):
            w.ask("GET", GET, instance_pool_id="pool-000999")


def test_what_was_tried_is_undone_and_what_was_asked_stays() -> None:
    with trial(STATE) as w:
        assert w.would("POST", EDIT, "learner@example.com", **CHANGED)
        assert w.ask("GET", GET, **POOL)["max_capacity"] == 3
        w.ask("POST", EDIT, **CHANGED)
        assert w.ask("GET", GET, **POOL)["max_capacity"] == 9


def test_time_goes_from_event_to_event_and_only_when_told() -> None:
    with trial(STATE) as w:
        spec = {**POOL, "num_workers": 1, "spark_version": "17.3.x-scala2.13"}
        cluster = w.ask("POST", "/api/2.1/clusters/create", **spec)["cluster_id"]
        seen = []
        w.go_on(BEGIN, lambda ctx: seen.append(ctx.now))
        assert seen == [BEGIN]
        assert w.ask("GET", "/api/2.1/clusters/get", cluster_id=cluster)["state"] == "PENDING"
        w.go_on(BEGIN + 3_600_000, lambda ctx: seen.append(ctx.now))
        assert w.ask("GET", "/api/2.1/clusters/get", cluster_id=cluster)["state"] == "RUNNING"
        assert seen == sorted(seen) and len(seen) > 2 and seen[-1] == BEGIN + 3_600_000
