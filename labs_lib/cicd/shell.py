"""Running commands over files, in a child process of the judge's (`Observer.program`): what a learner handed in runs here, and so it is believed nothing but what it did.

This file is that child's program as a whole, so it uses the standard library alone. Files are laid into a folder, commands run in it and give exit
code and output as data. A relay listens on the child's loopback and passes what is asked of it to a function of the judge's: what a command deploys
to is then a workspace in the judge's own process, which nothing in the child can reach in another way.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OUT, ERR = (
    150_000,
    15_000,
)  # bytes of an output's end that are told; a message of the child's may have 1 MiB, and a byte may take six as JSON
BODY = 600_000  # bytes of a request or an answer that the relay passes on
# What commands see of the child's own environment. `engine` adds what Spark and the course's engine need.
KEPT = ("PATH", "LANG")
ENGINE = ("JAVA_HOME", "LABS_HOME", "LABS_WORKSPACE", "PYTHONPATH", "SSL_CERT_FILE")
# Hop-by-hop headers, and those that the relay's own server writes.
NOT_PASSED = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}

Serve = Callable[[str, str, dict[str, str], str], dict[str, Any]]


@dataclass(frozen=True)
class Ran:
    """What became of a command. `code` is None if its time was up."""

    code: int | None
    out: str
    err: str

    @property
    def well(self) -> bool:
        """Whether it ended with the exit code 0."""
        return self.code == 0

    @property
    def said(self) -> str:
        """Its last line, for a sentence about it."""
        lines = [line for line in (self.err + "\n" + self.out).splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else "nothing"


class Shell:
    """Commands in folders below `top`, which is empty at first. `serve` answers what the relay is asked."""

    def __init__(self, serve: Serve | None = None, top: str = ".") -> None:
        self._top = Path(top).resolve()
        self._home = self._top / "home"
        self._home.mkdir(exist_ok=True)
        self._address = _relay(serve) if serve else ""

    def address(self) -> str:
        """Where the relay listens: http://127.0.0.1:PORT; "" if there is none."""
        return self._address

    def lay(self, folder: str, files: Mapping[str, str], executable: Sequence[str] = ()) -> None:
        """Write files below a folder; those that are named can be run."""
        for path, text in files.items():
            target = self._at(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            if path in executable:
                target.chmod(0o755)

    def read(self, path: str) -> str | None:
        """A file's text, or None if it isn't there."""
        try:
            return self._at(path).read_text(encoding="utf-8", errors="replace")[:OUT]
        except OSError:
            return None

    def run(
        self,
        command: Sequence[str],
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
        given: str = "",
        engine: bool = False,
    ) -> dict[str, Any]:
        """Run a command to its end, or to the end of its time; then all that it started is ended, too.

        It sees a path, a home of its own and the environment that is given, and no more. `given` is its standard input. The answer: `code` (None if the
        time was up, 127 if there is no such command), and the ends of what it wrote, `out` and `err`.
        """
        kept = {name: os.environ[name] for name in KEPT + (ENGINE if engine else ()) if name in os.environ}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    cwd=self._at(folder),
                    env={**kept, "HOME": str(self._home), **(environment or {})},
                    start_new_session=True,
                )
            except OSError as error:
                return {"code": 127, "out": "", "err": str(error)}
            code: int | None = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(given.encode(), seconds)
                code = process.returncode
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return {"code": code, "out": _tail(out, OUT), "err": _tail(err, ERR)}

    def _at(self, folder: str) -> Path:
        return self._top / folder


def _tail(file: Any, most: int) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - most))
    return str(file.read().decode(errors="replace"))


def _relay(serve: Serve) -> str:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing: nobody reads it."""

        def _pass_on(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if size > BODY:
                self._answer(
                    413, {}, b'{"error_code": "MALFORMED_REQUEST", "message": "The body is too large."}'
                )
                self.close_connection = True
                return
            body = base64.b64encode(self.rfile.read(size)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                told = serve(self.command, self.path, headers, body)
            except Exception as error:  # what the driver says of a request that it has no use for
                self._answer(502, {}, str(error).encode())
                return
            self._answer(told["status"], told["headers"], base64.b64decode(told["body"]))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass_on

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in NOT_PASSED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"
