"""The child's program: it holds one definition of a learner's and does what the driver asks, until the driver hangs up.

Run as `python -I child.py DESCRIPTOR LIMITS`, by itself: it uses the standard library only. DESCRIPTOR is a connected stream
socket, LIMITS a JSON object {RLIMIT name: value}. Each message is a line of JSON. From the driver:

    {"id", "do": "load", "source", "name"}            run the source as a module and keep what it calls `name`
    {"id", "do": "make", "arguments", "options"}      call that, and keep what it returns in its place
    {"id", "do": "call", "method", "arguments", "options"}     call it, or a method of it
    {"id", "do": "get", "attribute"}
    {"reply": ask, "value"} or {"reply": ask, "raise": name of a built-in exception, "text"}

An argument is ["value", JSON] or ["served", name]: a function that stands for one of the driver's. From here:

    {"ready": true}                                   once, at the beginning
    {"id", "value"} or {"id", "error": {"kinds", "text", "line"}}      the one answer to each request
    {"ask", "name", "arguments", "options"}           a served function was called, and waits for its reply

A request goes to the main thread, one after the other; with "within": ask, to the thread that waits for that ask's reply; with
"aside", to a thread of its own. Whatever the definition does to this process, the driver believes nothing but the form of what comes.
"""

from __future__ import annotations

import builtins
import itertools
import json
import os
import resource
import socket
import sys
import threading
import types
from queue import SimpleQueue
from typing import Any

MODULE = "answer"  # what the source is called as a module
TEXT = 300  # characters of an error's message
# Types whose text says what they are.
TOLD_BY_TEXT = {"date", "datetime", "time", "timedelta", "Decimal", "Fraction", "Path", "PosixPath", "UUID"}

Message = dict[str, Any]


class Unfit(Exception):
    """The definition gave what JSON can't hold."""


class Talk:
    """Both directions of the socket, and the threads that wait for something from it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._sending = threading.Lock()
        self._asks = itertools.count(1)
        self._waiting: dict[int, SimpleQueue[Message]] = {}
        self._requests: SimpleQueue[Message] = SimpleQueue()
        self._held: Any = None

    def run(self) -> None:
        """Do what is asked, for ever: the process ends when the driver hangs up."""
        threading.Thread(target=self._read, daemon=True).start()
        self._send({"ready": True})
        while True:
            self._answer(self._requests.get())

    def _read(self) -> None:
        for line in self._channel.makefile("rb"):
            message = json.loads(line)
            waiting = self._waiting.get(message.get("reply") or message.get("within"))
            if waiting is not None:
                waiting.put(message)
            elif message.get("aside"):
                threading.Thread(target=self._answer, args=(message,), daemon=True).start()
            elif "id" in message:
                self._requests.put(message)
        os._exit(0)

    def _answer(self, message: Message) -> None:
        try:
            line = _line({"id": message["id"], "value": self._do(message)})
        except BaseException as error:  # SystemExit and KeyboardInterrupt as well: the child goes on
            line = _line({"id": message["id"], "error": _told(error)})
        self._send_line(line)

    def _do(self, message: Message) -> Any:
        if message["do"] == "load":
            self._held = _loaded(message["source"], message["name"])
            return None
        if message["do"] == "get":
            return getattr(self._held, message["attribute"])
        called = getattr(self._held, message["method"]) if message.get("method") else self._held
        arguments = [self._argument(*each) for each in message["arguments"]]
        options = {name: self._argument(*each) for name, each in message["options"].items()}
        result = called(*arguments, **options)
        if message["do"] == "call":
            return result
        self._held = result
        return None

    def _argument(self, kind: str, value: Any) -> Any:
        if kind == "value":
            return value

        def served(*arguments: Any, **options: Any) -> Any:
            return self._ask(value, arguments, options)

        return served

    def _ask(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        number = next(self._asks)
        waiting = self._waiting[number] = SimpleQueue()
        self._send({"ask": number, "name": name, "arguments": arguments, "options": options})
        while "reply" not in (message := waiting.get()):
            self._answer(message)
        del self._waiting[number]
        if "raise" in message:
            raise getattr(builtins, message["raise"])(message["text"])
        return message["value"]

    def _send(self, message: Message) -> None:
        self._send_line(_line(message))

    def _send_line(self, line: bytes) -> None:
        with self._sending:
            self._channel.sendall(line)


def _loaded(source: str, name: str) -> Any:
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    exec(compile(source, MODULE, "exec"), module.__dict__)
    try:
        return module.__dict__[name]
    except KeyError:
        raise NameError(f"it defines no {name}") from None


def _line(message: Message) -> bytes:
    try:
        return json.dumps(message, allow_nan=False, default=_plain).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise Unfit(str(error)) from None


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (set, frozenset):
        return sorted(value, key=repr)
    if kind.__name__ in TOLD_BY_TEXT:
        return str(value)
    if kind.__module__ == "numpy":
        return value.tolist()
    raise TypeError(f"{kind.__name__} is none of numbers, text, lists and dicts")


def _told(error: BaseException) -> Message:
    try:
        text = str(error)[:TEXT]
    except BaseException:  # a learner's own exception
        text = ""
    line, frame = (error.lineno if isinstance(error, SyntaxError) else None), error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == MODULE:
            line = frame.tb_lineno
        frame = frame.tb_next
    return {"kinds": [kind.__name__ for kind in type(error).__mro__[:-1]], "text": text, "line": line}


def main() -> None:
    """Set the limits, close the way to everything but the driver, and do what it asks."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for name, value in json.loads(sys.argv[2]).items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (lower, lower))
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    channel.set_inheritable(False)
    Talk(channel).run()


if __name__ == "__main__":
    main()
