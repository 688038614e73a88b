"""The driver: it leads a child that holds a definition, one request at a time, and serves what the definition needs of the world.

A request has one answer, under an id that nobody could know before. While a served function of the driver's runs for the child, the
driver may make further requests: in the thread that waits for that function, or beside it. A child that doesn't keep to this is
lost, and with it the request that was made. What the child says is data of a stranger's and is looked at before it is used.
"""

from __future__ import annotations

import builtins
import json
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labs_lib.errors import LabsError, first_line
from labs_lib.vetting.text import Rejected, parse_json

START = 30.0  # seconds for a child to be there
CALL = 10.0  # seconds for a request, with all that is served meanwhile
MESSAGE = 2**20  # bytes of one message of the child's
DEPTH = 30  # of lists and dicts in one another
NESTED = 20  # served calls that wait for one another
CHUNK = 2**16


class Lost(Exception):
    """The child can't be led any further; the message is the rest of a sentence that begins with its name."""


class NotStarted(LabsError):
    """No child came to be, which is not the definition's fault."""


@dataclass(frozen=True)
class Answer:
    """What became of a request: a value of JSON, or an error with the names of its classes, the raised one's first."""

    value: Any = None
    kinds: tuple[str, ...] = ()
    text: str = ""
    line: int | None = None

    @property
    def error(self) -> str:
        """The error as people read it, "" if there is none."""
        if not self.kinds:
            return ""
        shown = f"{self.kinds[0]}: {self.text}" if self.text else self.kinds[0]
        if self.kinds[0] == "Unfit":
            shown = f"what can't be judged ({self.text})"
        return f"{shown} (line {self.line} of it)" if self.line else shown


class Child:
    """One child at the other end of `channel`. `seconds` is the time for each request."""

    def __init__(self, channel: socket.socket, seconds: float = CALL) -> None:
        self._channel, self._seconds = channel, seconds
        self._buffer = b""
        self._lost = ""
        self._served: dict[str, Callable[..., Any]] = {}
        self._asked: list[int] = []  # served calls that are under way, the innermost last
        self._open: set[str] = set()  # ids of requests without an answer
        self._answers: dict[str, Answer] = {}
        self._until = 0.0  # when the time of the outermost request ends
        try:
            ready = self._message(time.monotonic() + START)
        except Lost:
            ready = None
        if ready != {"ready": True}:
            raise NotStarted("The process that a definition is tried in didn't start; try again.")

    def load(self, source: str, name: str) -> Answer:
        """Run the source as a module, and hold what it calls `name`. Raises Lost, as all requests do."""
        return self._done({"do": "load", "source": source, "name": name})

    def make(self, *arguments: Any, **options: Any) -> Answer:
        """Call what is held, and hold what it returns instead: an object of a class."""
        return self._done({"do": "make", **self._given(arguments, options)})

    def call(self, method: str, *arguments: Any, **options: Any) -> Answer:
        """Call a method of what is held, or what is held itself for "". Arguments that are functions are served from here."""
        return self._done({"do": "call", "method": method, **self._given(arguments, options)})

    def get(self, attribute: str) -> Answer:
        """The value of an attribute."""
        return self._done({"do": "get", "attribute": attribute})

    def begin(self, method: str, *arguments: Any) -> str:
        """Begin a call in a thread of its own, and return what `wait` takes."""
        return self._ask({"do": "call", "method": method, "aside": True, **self._given(arguments, {})})

    def wait(self, request: str, seconds: float) -> Answer | None:
        """The answer to a request, or None if it hasn't come after so many seconds."""
        deadline = self._deadline(seconds)
        while request not in self._answers:
            if time.monotonic() > deadline or not self._step(deadline):
                return None
        return self._answers.pop(request)

    def _done(self, request: Mapping[str, Any]) -> Answer:
        answer = self.wait(self._ask(request), self._seconds)
        if answer is None:
            raise self._lose(f"took longer than {self._seconds:g} s")
        return answer

    def _deadline(self, seconds: float) -> float:
        """When so many seconds will have passed; a request that is made while another is served takes of that one's time."""
        deadline = time.monotonic() + seconds
        return min(deadline, self._until) if self._asked else deadline

    def _ask(self, request: Mapping[str, Any]) -> str:
        deadline = self._deadline(self._seconds)
        if not self._asked:
            self._until = deadline
        if not self._open:
            while self._step(time.monotonic()):  # serves what threads of the definition's ask between calls
                if time.monotonic() > deadline:
                    raise self._lose("never stopped asking between two calls")
        name = secrets.token_hex(8)
        self._open.add(name)
        within = {"within": self._asked[-1]} if self._asked and not request.get("aside") else {}
        self._send({"id": name, **request, **within}, deadline)
        return name

    def _given(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "arguments": [self._argument(each) for each in arguments],
            "options": {name: self._argument(each) for name, each in options.items()},
        }

    def _argument(self, value: Any) -> list[Any]:
        if not callable(value):
            return ["value", value]
        known = next((name for name, each in self._served.items() if each is value), None)
        name = known or f"{len(self._served)}"
        self._served[name] = value
        return ["served", name]

    def _step(self, deadline: float) -> bool:
        """Take one message of the child's, and serve what it asks; False if none came in time."""
        message = self._message(deadline)
        if message is None:
            return False
        if "ask" in message:
            self._serve(message)
        elif isinstance(name := message.get("id"), str) and name in self._open:
            self._open.remove(name)
            self._answers[name] = self._answer(message)
        else:
            raise self._lose("answered what it was not asked, or twice")
        return True

    def _serve(self, message: Mapping[str, Any]) -> None:
        number, function = message["ask"], self._served.get(str(message.get("name")))
        arguments, options = message.get("arguments"), message.get("options")
        if (
            type(number) is not int
            or function is None
            or not isinstance(arguments, list)
            or not isinstance(options, dict)
        ):
            raise self._lose("asked for what it was not given")
        if number in self._asked or len(self._asked) >= NESTED:
            raise self._lose("asked for too much at once")
        self._asked.append(number)
        try:
            reply = {"value": function(*arguments, **options)}
        except Lost:
            raise
        except Exception as error:  # also for arguments that a served function has no use for
            builtin = next(
                kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind
            )
            reply = {"raise": builtin.__name__, "text": first_line(error)}
        finally:
            self._asked.remove(number)
        self._send({"reply": number, **reply}, self._deadline(self._seconds))

    def _answer(self, message: Mapping[str, Any]) -> Answer:
        if "error" not in message:
            return Answer(message.get("value"))
        error = message["error"]
        kinds = error.get("kinds") if isinstance(error, dict) else None
        if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, str) for kind in kinds):
            raise self._lose("answered with an error that has no name")
        line = error.get("line")
        return Answer(
            kinds=tuple(kind[:80] for kind in kinds[:20]),
            text=str(error.get("text", ""))[:300],
            line=line if type(line) is int else None,
        )

    def _message(self, deadline: float) -> dict[str, Any] | None:
        """The child's next message, or None if none came in time."""
        if self._lost:
            raise Lost(self._lost)
        while b"\n" not in self._buffer:
            if len(self._buffer) > MESSAGE:
                raise self._lose(f"answered with more than {MESSAGE / 2**20:g} MiB")
            # Not 0, which would mean not to wait and raises another error.
            self._channel.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self._channel.recv(CHUNK)
            except TimeoutError:
                return None
            except OSError:
                part = b""
            if not part:
                raise self._lose("ended before it had answered")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = parse_json(line, DEPTH, "it")
        except Rejected as refusal:
            raise self._lose(f"answered with what can't be read: {refusal}") from None
        if not isinstance(message, dict):
            raise self._lose("answered with what is no message")
        return message

    def _send(self, message: Mapping[str, Any], deadline: float) -> None:
        if self._lost:
            raise Lost(self._lost)
        self._channel.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            self._channel.sendall(json.dumps(message).encode() + b"\n")
        except TimeoutError:
            raise self._lose(f"took longer than {self._seconds:g} s") from None
        except OSError:
            raise self._lose("ended before it had answered") from None

    def _lose(self, why: str) -> Lost:
        self._lost = why
        return Lost(why)
