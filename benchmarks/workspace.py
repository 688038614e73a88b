"""(j) The local workspace: how long until it answers, and what a call costs."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.figures import Figure, Result
from labs_lib.errors import LabsError
from labs_lib.workspace import process

STARTS, CALLS, CLIENTS = 5, 400, 8
START_TARGET = 0.8  # seconds; WORKSPACE.md, "Proof"
ME = "/api/2.0/preview/scim/v2/Me"
POLICY = {
    "num_workers": {"type": "range", "maxValue": 2},
    "node_type_id": {"type": "allowlist", "values": ["m5.large", "m5.xlarge"]},
    "custom_tags.team": {"type": "regex", "pattern": "[a-z]{2,12}"},
}


def measure(console: Console) -> Result:
    """Start a workspace some times in a folder that holds one already, then ask it things: alone, from several clients, by the SDK."""
    with tempfile.TemporaryDirectory(prefix="labs-bench-") as name, _home(Path(name)):
        folder = Path(name) / "workspace"
        try:
            process.ensure(folder)  # the first start makes tables and reads the packages from disk
            starts = [_start(folder) for _ in range(STARTS)]
            service = process.ensure(folder)
            calls = _seconds(service, lambda ask: ask("GET", ME, None))
            with ThreadPoolExecutor(CLIENTS) as pool:
                begun = time.perf_counter()
                list(pool.map(lambda _: _seconds(service, lambda ask: ask("GET", ME, None)), range(CLIENTS)))
                together = CLIENTS * CALLS / (time.perf_counter() - begun)
            writes = _seconds(
                service,
                lambda ask: ask(
                    "POST", "/api/2.0/preview/scim/v2/Groups", {"displayName": str(time.perf_counter_ns())}
                ),
            )
            checks = _policy_checks(service)
            by_sdk = _sdk(folder)
            size = psutil.Process(service.pid).memory_full_info().pss
        finally:
            process.stop_all()
    figures = (
        Figure("j", "start to first answer, without Spark", statistics.median(starts), "s", START_TARGET),
        Figure("j", "a call, one client", 1000 * statistics.median(calls), "ms"),
        Figure("j", "a call that writes", 1000 * statistics.median(writes), "ms"),
        Figure("j", "a cluster that its policy refuses", 1000 * statistics.median(checks), "ms"),
        Figure("j", "a call by databricks-sdk", 1000 * statistics.median(by_sdk), "ms"),
        Figure("j", f"calls a second, {CLIENTS} clients", together, "/s"),
        Figure("j", "memory of the service", size / 2**20, "MiB"),
    )
    console.print(f"(j) {STARTS} starts, {CALLS} calls of each kind", highlight=False)
    counted = (
        f"(j) Medians of {STARTS} starts (process, imports, store, HTTP) and of {CALLS} calls over one kept connection each: {ME}, a new group, a "
        "cluster of 99 workers under a policy of at most 2; PSS afterwards. Clients and service share the machine."
    )
    raw = {"starts": starts, "calls": calls, "writes": writes, "checks": checks, "sdk": by_sdk}
    return Result(figures, counted, raw)


@contextmanager
def _home(folder: Path) -> Iterator[None]:
    """A LABS_HOME of the block's own, so that nobody else's workspaces are seen or stopped."""
    kept = os.environ.get("LABS_HOME")
    os.environ["LABS_HOME"] = str(folder / "home")
    try:
        yield
    finally:
        del os.environ["LABS_HOME"]
        if kept is not None:
            os.environ["LABS_HOME"] = kept


def _start(folder: Path) -> float:
    process.stop(folder)
    begun = time.perf_counter()
    _asker(process.ensure(folder))("GET", ME, None)
    return time.perf_counter() - begun


Ask = Callable[[str, str, object], tuple[int, bytes]]


def _asker(service: process.Service) -> Ask:
    """Calls over one connection; returns status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    headers = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"}

    def ask(method: str, path: str, body: object) -> tuple[int, bytes]:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    return ask


def _seconds(
    service: process.Service, call: Callable[[Ask], tuple[int, bytes]], expected: int = 200
) -> list[float]:
    ask, seconds = _asker(service), []
    for _ in range(CALLS):
        begun = time.perf_counter()
        status, body = call(ask)
        seconds.append(time.perf_counter() - begun)
        if status != expected:
            raise LabsError(f"The workspace answered {status}, not {expected}: {body[:300]!r}")
    return seconds


def _policy_checks(service: process.Service) -> list[float]:
    ask = _asker(service)
    made = {"name": "bench", "definition": json.dumps(POLICY)}
    policy = json.loads(ask("POST", "/api/2.0/policies/clusters/create", made)[1])["policy_id"]
    wanted = {
        "cluster_name": "bench",
        "policy_id": policy,
        "spark_version": "16.4.x-scala2.12",
        "node_type_id": "m5.large",
        "num_workers": 99,
        "custom_tags": {"team": "retail"},
    }
    return _seconds(service, lambda ask: ask("POST", "/api/2.1/clusters/create", wanted), 400)


def _sdk(folder: Path) -> list[float]:
    from labs_lib.workspace import client

    w = client.workspace(folder.parent)
    seconds = []
    for _ in range(CALLS):
        begun = time.perf_counter()
        w.current_user.me()
        seconds.append(time.perf_counter() - begun)
    return seconds
