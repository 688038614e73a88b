"""A store directory behind HTTP on this machine, which is down when its script says so: what a circuit breaker protects.

It is a real server on a real socket. What it answered is on its own record, so nobody has to believe a client's count.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import quote, unquote

from labs_lib.arguments import checked
from labs_lib.errors import LabsError

DROPPED = "dropped"  # the connection is closed without an answer
OUTAGES = ("500", "503", DROPPED)
TIMEOUT = 5.0  # seconds that a client waits; urllib and http.client wait for ever unless they are told
LOOK_EVERY = 0.02  # seconds between the server's looks at whether it should end


class ServiceDown(OSError):
    """The service answered with a status of 500 or more."""


@dataclass
class ManualClock:
    """A clock that moves only when it is told to. Calling it gives seconds, as `time.monotonic` does."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    @checked
    def advance(self, seconds: float) -> None:
        """Move on by so many seconds. Raises LabsError if that is no time that can pass."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise LabsError(f"A clock can't advance by {seconds} s; give 0 or more seconds.")
        self.now += seconds


@dataclass(frozen=True)
class Outage:
    """From `start` up to before `end` (seconds of the service's clock) each call gets `answer`: 500, 503 or dropped."""

    start: float
    end: float
    answer: str = "503"


@dataclass(frozen=True)
class Call:
    """A call that reached the service: when by its clock, for which store, and the answer: a status or `dropped`."""

    at: float
    store: str
    answer: str


class FlakyService:
    """A running service that knows the region of each store. Close it, or use it in a `with` block."""

    @checked
    def __init__(
        self,
        regions: Mapping[int, str],
        outages: Sequence[Outage] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start it on a free port of the loopback interface.

        `regions` maps store ids to regions. Raises LabsError if an outage ends before it starts or has an unknown answer.
        """
        for outage in outages:
            if outage.answer not in OUTAGES or not outage.start < outage.end:
                raise LabsError(
                    f"{outage} is no outage: it has to end after its start, and to answer one of {', '.join(OUTAGES)}."
                )
        self._regions = {str(store): region for store, region in regions.items()}
        self._outages = tuple(outages)
        self._clock = clock
        self._calls: list[Call] = []
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(LOOK_EVERY,), daemon=True).start()

    @property
    def address(self) -> str:
        """`GET <address>/stores/<id>` gives a store, `GET <address>/calls` the record of calls."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls for stores that reached the service, in order."""
        return tuple(self._calls)

    def region_of(self, store_id: int) -> str:
        """Ask the service over HTTP for a store's region.

        Raises an OSError (ServiceDown, a lost or refused connection, a timeout) if the service is down, and LookupError if the service
        answered that it knows no such store.
        """
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=TIMEOUT)
        ) as connection:
            connection.request("GET", f"/stores/{quote(str(store_id), safe='')}")
            response = connection.getresponse()
            content = json.loads(response.read())
        if response.status >= 500:
            raise ServiceDown(f"the service answered {response.status}")
        if response.status == 404:
            raise LookupError(f"the service knows no store {store_id!r}")
        return str(content["region"])

    def close(self) -> None:
        """Stop it; from then on connections are refused. Doing so twice is fine."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, path: str) -> tuple[str, object]:
        """Status (or `dropped`) and content for a path; a call for a store goes on record before its answer is sent."""
        if path == "/calls":
            return "200", [asdict(call) for call in self._calls]
        if not path.startswith("/stores/"):
            return "404", {"error": "unknown path"}
        store, now = unquote(path.removeprefix("/stores/")), self._clock()
        down = next((each.answer for each in self._outages if each.start <= now < each.end), None)
        answer = down or ("200" if store in self._regions else "404")
        self._calls.append(Call(now, store, answer))
        return answer, {"store": store, "region": self._regions.get(store)} if answer == "200" else {}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: FlakyService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        status, content = self.server.service._answer(self.path)
        if status == DROPPED:
            return  # the connection closes, and the client reads the end of it where an answer should be
        body = json.dumps(content).encode()
        self.send_response(int(status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a notebook's stderr is for errors."""
