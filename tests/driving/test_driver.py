"""What a definition gets out of its driver: an honest one its answers, a hostile one nothing.

Each definition is to double numbers that it can't know before. Attacks bound themselves: a flood ends after some megabytes, what is
forked ends by itself. They run in a plain process, as in a notebook, and in the grader's box.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grader.sandbox.children import LIMITS, WITHHELD, Door, boxed_child
from labs_lib.driving.driver import Answer, Child, Lost
from labs_lib.driving.launch import Launch, plain_child

pytestmark = pytest.mark.ledger

BOXES = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
CALLS = 3
SECONDS = 8.0  # for each request; those that are meant to hang have one

# The way to the child's own program, for attacks on it.
TALK = """
import sys
def talk():
    frame = sys._getframe()
    while "Talk" not in type(frame.f_locals.get("self")).__name__:
        frame = frame.f_back
    return frame.f_locals["self"]
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Door(tmp_path_factory.mktemp("door"))
    with opened.serving():
        yield opened
    assert opened.problems == []


@pytest.fixture(params=["process", pytest.param("box", marks=BOXES)])
def launch(request: pytest.FixtureRequest) -> Launch:
    if request.param == "process":
        return plain_child
    name = request.getfixturevalue("door").name
    return lambda: boxed_child(name)


@pytest.fixture
def box(door: Door) -> Launch:
    return lambda: boxed_child(door.name)


def tried(source: str, launch: Launch, seconds: float = SECONDS, calls: int = CALLS) -> list[str]:
    """What each call of `double` came to: "right", what else it returned, its error, or how the child was lost."""
    found = []
    with launch() as channel:
        child = Child(channel, seconds)
        try:
            if problem := child.load(source, "double").error:
                return [f"not loaded: {problem}"]
        except Lost as lost:
            return [f"not loaded: it {lost}"]
        for _ in range(calls):
            number = secrets.randbelow(10**9)
            try:
                answer = child.call("", number)
                right = not answer.kinds and type(answer.value) is int and answer.value == 2 * number
                found.append("right" if right else answer.error or f"the value {answer.value!r}"[:200])
            except Lost as lost:
                found.append(f"lost: it {lost}")
    return found


def test_an_honest_definition_is_right(launch: Launch) -> None:
    assert tried("double = lambda n: 2 * n", launch) == ["right"] * CALLS
    noisy = "import sys\nprint('x' * 3_000_000, file=sys.stderr)\ndef double(n):\n    print('x' * 3_000_000)\n    return 2 * n"
    assert tried(noisy, launch) == ["right"] * CALLS


# name: (source, what the driver says of it, seconds for a request)
HOSTILE: dict[str, tuple[str, str, float]] = {
    "answers twice": (
        TALK + "def double(n):\n"
        "    t = talk()\n"
        "    name = sys._getframe(2).f_locals['message']['id']\n"
        "    t._send({'id': name, 'value': 0})\n"
        "    return 0",
        r"the value 0; lost: it answered what it was not asked, or twice; lost",
        SECONDS,
    ),
    "answers for the next request": (
        TALK + "def double(n):\n    t = talk()\n    t._send({'id': '0' * 16, 'value': 8})\n    return 8",
        r"^lost: it answered what it was not asked",
        SECONDS,
    ),
    "answers before it is asked": (
        TALK + "talk()._send({'id': 'load', 'value': None})\ndouble = lambda n: 8",
        r"not loaded: it answered what it was not asked",
        SECONDS,
    ),
    "asks for what it was not given": (
        TALK + "def double(n):\n    return talk()._ask('7', (), {})",
        r"lost: it asked for what it was not given",
        SECONDS,
    ),
    "says that it is ready again": (
        TALK + "def double(n):\n    talk()._send({'ready': True})\n    return 8",
        r"lost: it answered what it was not asked",
        SECONDS,
    ),
    "sends what is no JSON": (
        TALK + "def double(n):\n    talk()._send_line(b'double\\n')\n    return 8",
        r"lost: it answered with what can't be read: it is not valid JSON",
        SECONDS,
    ),
    "sends a list": (
        TALK + "def double(n):\n    talk()._send_line(b'[1]\\n')\n    return 8",
        r"lost: it answered with what is no message",
        SECONDS,
    ),
    "sends JSON of a hundred levels": (
        TALK + "def double(n):\n    talk()._send_line(b'[' * 100 + b']' * 100 + b'\\n')\n    return 8",
        r"lost: it answered with what can't be read: it is nested deeper",
        SECONDS,
    ),
    "sends an error without a name": (
        TALK + "def double(n):\n"
        "    t = talk()\n"
        "    t._send({'id': sys._getframe(2).f_locals['message']['id'], 'error': 8})\n"
        "    return 8",
        r"lost: it answered with an error that has no name",
        SECONDS,
    ),
    "floods its connection": (
        TALK + "def double(n):\n"
        "    for _ in range(64):\n        talk()._send_line(b'x' * 2**17)\n"
        "    return 8",
        r"lost: it answered with more than 1 MiB",
        SECONDS,
    ),
    "returns megabytes": (
        "double = lambda n: 'x' * 3_000_000",
        r"lost: it answered with more than 1 MiB",
        SECONDS,
    ),
    "never stops answering what nobody asked": (
        TALK + "import threading, time\n"
        "def flood(t, end):\n"
        "    while time.monotonic() < end:\n        t._send({'id': 'x', 'value': 8})\n"
        "def double(n):\n"
        "    threading.Thread(target=flood, args=(talk(), time.monotonic() + 3), daemon=True).start()\n"
        "    return 8",
        r"lost: it answered what it was not asked",
        SECONDS,
    ),
    "hands over descriptors": (
        TALK + "import os, socket\n"
        "def double(n):\n"
        "    socket.send_fds(talk()._channel, [b'{}'], [os.open('/dev/null', os.O_RDONLY)] * 10)\n"
        "    return 8",
        r"lost: it answered with what can't be read",
        SECONDS,
    ),
    "never returns": ("def double(n):\n    while True: pass", r"lost: it took longer than 1 s; lost", 1.0),
    "never loads": ("import time\ntime.sleep(30)\ndouble = 1", r"not loaded: it took longer than 1 s", 1.0),
    "ends its process": (
        "import os\ndef double(n): os._exit(0)",
        r"lost: it ended before it had answered",
        SECONDS,
    ),
    "kills its process": (
        "import os, signal\ndef double(n): os.kill(os.getpid(), signal.SIGKILL)",
        r"lost: it ended before it had answered",
        SECONDS,
    ),
    "reads where nothing is": (
        "import ctypes\ndef double(n): return ctypes.string_at(0)",
        r"lost: it ended before it had answered",
        SECONDS,
    ),
    "closes all descriptors": (
        "import os\ndef double(n):\n    os.closerange(0, 128)\n    return 8",
        r"lost: it ended before it had answered|lost: it took longer",
        1.0,
    ),
    "forks, and stays": (
        "import os, time\n"
        "def double(n):\n"
        "    if os.fork() == 0:\n        os.setsid() if n % 2 else None\n        time.sleep(20)\n        os._exit(0)\n"
        "    os._exit(0)",
        r"lost: it (took longer|ended)",
        1.0,
    ),
    "answers from both sides of a fork": (
        "import os\ndef double(n):\n    os.fork()\n    return 8",
        r"the value 8; lost: it answered what it was not asked, or twice",
        SECONDS,
    ),
    "leaves by SystemExit": ("import sys\ndef double(n): sys.exit(0)", r"^SystemExit: 0", SECONDS),
    "leaves at its top level": ("raise SystemExit", r"not loaded: SystemExit", SECONDS),
    "interrupts": ("def double(n): raise KeyboardInterrupt", r"^KeyboardInterrupt", SECONDS),
    "raises what can't be told": (
        "class Odd(BaseException):\n    def __str__(self): raise SystemExit\ndef double(n): raise Odd",
        r"^Odd \(line",
        SECONDS,
    ),
    "recurses": ("def double(n): return double(n)", r"^RecursionError", SECONDS),
    "recurses without a limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef double(n): return [double(n)]",
        r"^(MemoryError|RecursionError)|lost: it (ended|took)",
        SECONDS,
    ),
    "takes all memory": ("def double(n): return len(bytearray(2**30))", r"^MemoryError", SECONDS),
    "gives no number": ("double = lambda n: float('nan')", r"what can't be judged", SECONDS),
    "gives infinity": ("double = lambda n: [1e308 * 10]", r"what can't be judged", SECONDS),
    "sends infinity": (
        TALK + "def double(n):\n    talk()._send_line(b'{\"id\": 1e999}\\n')\n    return 8",
        r"lost: it answered with what can't be read: it holds 1e999",
        SECONDS,
    ),
    "gives a number of ten thousand digits": (
        "double = lambda n: 10**10_000",
        r"what can't be judged",
        SECONDS,
    ),
    "gives a number of four thousand digits": ("double = lambda n: 10**4_000", r"lost: it .*digits", SECONDS),
    "gives an object": ("double = lambda n: object()", r"what can't be judged \(object is none of", SECONDS),
    "gives a list in itself": (
        "def double(n):\n    a = []\n    a.append(a)\n    return a",
        r"what can't be judged",
        SECONDS,
    ),
    "gives a number that equals all": (
        "class All(int):\n    __eq__ = lambda self, other: True\n    __hash__ = int.__hash__\ndouble = lambda n: All(8)",
        r"^the value 8",
        SECONDS,
    ),
    "gives a dict for a number": ("double = lambda n: {'id': n, 'value': 8}", r"^the value \{", SECONDS),
    "gives truth": ("double = lambda n: True", r"^the value True", SECONDS),
    "patches json": (
        "import json\nold = json.dumps\n"
        "json.dumps = lambda *a, **k: old({'ready': True})\n"
        "double = lambda n: 8",
        r"not loaded: it answered what it was not asked",
        SECONDS,
    ),
    "patches what tells errors": (
        "import __main__\n__main__._told = lambda error: {}\ndef double(n): raise OSError",
        r"lost: it answered with an error that has no name",
        SECONDS,
    ),
    "patches what it is asked": (
        "import __main__\n__main__.Talk._do = lambda self, message: 8\ndouble = 0",
        r"^the value 8",
        SECONDS,
    ),
    "patches standard output": (
        "import io, sys\nsys.stdout = sys.__stdout__ = io.StringIO()\ndef double(n):\n    print(2 * n)\n    return 8",
        r"^the value 8",
        SECONDS,
    ),
    "patches the driver's module in its own process": (
        "import labs_lib.driving.driver as d\nd.Answer = d.Child = None\ndouble = lambda n: 8",
        r"^the value 8|not loaded: ModuleNotFoundError",
        SECONDS,
    ),
    "is no function": ("double = 8", r"^TypeError: 'int' object is not callable", SECONDS),
    "is not there": ("triple = 8", r"not loaded: NameError: it defines no double", SECONDS),
    "is no Python": ("def double(n:", r"not loaded: SyntaxError.*\(line 1 of it\)", SECONDS),
    "is a null character": ("\0", r"not loaded: (ValueError|SyntaxError)", SECONDS),
    "is nested beyond the parser": ("(" * 5000 + ")" * 5000, r"not loaded: \w+Error", SECONDS),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_definition_gains_nothing(name: str, launch: Launch) -> None:
    source, said, seconds = HOSTILE[name]
    before = psutil.Process().num_fds()
    found = tried(source, launch, seconds)
    assert "right" not in found
    assert re.search(said, "; ".join(found)), found
    if launch is plain_child:  # the door's descriptors come and go
        assert psutil.Process().num_fds() <= before


def test_a_child_that_was_lost_stays_lost_and_the_next_one_is_well(launch: Launch) -> None:
    with launch() as channel:
        child = Child(channel, SECONDS)
        child.load("import os\ndef double(n): os._exit(0)", "double")
        for _ in range(2):
            with pytest.raises(Lost, match="ended before it had answered"):
                child.call("", 1)
    assert tried("double = lambda n: 2 * n", launch, calls=1) == ["right"]


def test_a_new_child_knows_nothing_of_the_one_before(box: Launch) -> None:
    """Neither by what it kept in memory nor by files where it may write."""
    source = (
        "import glob, os, sys\n"
        "places = ['/tmp', '/dev/shm', os.getcwd(), os.path.expanduser('~')]\n"
        "found = [name for place in places for name in glob.glob(place + '/note*')]\n"
        "def double(n):\n"
        "    for place in places:\n"
        "        open(place + f'/note-{n}', 'w').close()\n"
        "    sys.modules['note'] = sys\n"
        "    return 2 * n if 'note' in sys.modules and found else found\n"
    )
    assert [tried(source, box, calls=1) for _ in range(2)] == [["the value []"]] * 2


LOOK = """
import os, socket, sys
def double(n):
    found = {}
    for name in ("labs_lib.checking.checker", "labs_lib.patterns.checks.resilience", "datasets", "grader"):
        try:
            __import__(name)
            found[name] = "there"
        except ImportError:
            pass
    for pid in (entry for entry in os.listdir("/proc") if entry.isdecimal()):
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue  # not ours to look at
        for name in files:
            if name.startswith("/") and not name.startswith(("/dev/null", "/proc")):
                found[f"{pid} has"] = name
    for each in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{each}").startswith("socket:"):
                os.open(f"/proc/self/fd/{each}", os.O_RDONLY)
                found["socket"] = "opened anew"
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", n), timeout=2)
        found["network"] = "there"
    except OSError:
        pass
    found |= {name: value for name, value in os.environ.items() if name not in ("HOME", "PATH", "LANG")}
    found |= {name: "loaded" for name in ("IPython", "ipykernel", "__main__.get_ipython") if name in sys.modules}
    return found
"""


def test_a_box_shows_no_checks_no_data_no_seed_no_network_and_nobodys_descriptors(box: Launch) -> None:
    os.environ["LABS_SEED_OF_A_TEST"] = "41"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, box() as channel:
            child = Child(channel, SECONDS)
            assert not child.load(LOOK, "double").error
            assert child.call("", server.getsockname()[1]) == Answer({})
    finally:
        del os.environ["LABS_SEED_OF_A_TEST"]
    assert {"checking", "checks"} <= WITHHELD


def test_who_tells_the_driver_from_a_notebook_is_seen_as_the_driver_sees_it(launch: Launch) -> None:
    source = (
        "import os, sys\n"
        "in_a_notebook = 'IPython' in sys.modules or any(name.startswith(('JPY', 'LABS')) for name in os.environ)\n"
        "double = lambda n: 2 * n if in_a_notebook else 8"
    )
    assert tried(source, launch, calls=1) == ["the value 8"]


def test_nothing_of_a_child_is_alive_afterwards(door: Door, box: Launch) -> None:
    source = (
        "import os, time\n"
        "def double(n):\n"
        "    for _ in range(3):\n"
        "        if os.fork() == 0:\n            os.setsid()\n            time.sleep(30)\n            os._exit(0)\n"
        "    return 2 * n"
    )
    before, began = set(psutil.Process().children()), time.monotonic()
    assert tried(source, box, calls=1) == ["right"]
    while set(psutil.Process().children()) - before and time.monotonic() < began + 15:
        time.sleep(0.05)
    assert set(psutil.Process().children()) <= before and time.monotonic() < began + 20


def test_too_many_processes_end_the_child(box: Launch) -> None:
    source = (
        "import os, time\n"
        "def double(n):\n"
        f"    for _ in range({LIMITS.processes + 20}):\n"
        "        if os.fork() == 0:\n            time.sleep(10)\n            os._exit(0)\n"
        "    return 2 * n"
    )
    (found,) = tried(source, box, calls=1)
    assert found.startswith("BlockingIOError") or found.startswith("lost: it ended"), found


CLIENT = """
class Client:
    def __init__(self, *, clock):
        self.clock, self.state = clock, "new"
    def call(self, function, *args):
        self.state = "running"
        try:
            return [function(*args), self.clock()]
        finally:
            self.state = "done"
"""


def test_clock_and_service_are_served_and_asked_in_between(launch: Launch) -> None:
    seen: list[object] = []

    def service(number: int) -> int:
        seen.append(child.get("state").value)
        if number == 1:
            seen.append(child.wait(child.begin("call", lambda: "beside"), SECONDS))
        if number == 2:
            raise ConnectionResetError("gone")
        if number == 3:
            raise Lookup("no such number")
        return 10 * number

    class Lookup(LookupError):
        pass

    with launch() as channel:
        child = Child(channel, SECONDS)
        assert not child.load(CLIENT, "Client").error and not child.make(clock=lambda: 4.5).error
        assert child.call("call", service, 1) == Answer([10, 4.5])
        assert seen == [
            "running",
            Answer(["beside", 4.5]),
        ]
        assert child.get("state") == Answer("done")
        refused = child.call("call", service, 2)
        assert refused.kinds[:3] == ("ConnectionResetError", "ConnectionError", "OSError")
        assert (refused.text, refused.line) == ("gone", 8)
        assert child.call("call", service, 3).error == "LookupError: no such number (line 8 of it)"
        assert child.call("call", service, 4, 5).kinds[0] == "TypeError"
        assert child.call("nothing").error == "AttributeError: 'Client' object has no attribute 'nothing'"
        assert child.make(clock=1).error.startswith("TypeError")


def test_asking_without_end_takes_the_calls_own_time(launch: Launch) -> None:
    with launch() as channel:
        child = Child(channel, 1.0)
        child.load("def double(clock):\n    while clock() < 1: pass", "double")
        with pytest.raises(Lost, match="took longer than 1 s"):
            child.call("", lambda: 0.0)


def test_requests_in_between_take_the_calls_own_time_too(launch: Launch) -> None:
    source = "import time\nclass Slow:\n    def call(self, f): return f()\n    @property\n    def state(self): time.sleep(0.7)"
    with launch() as channel:
        child = Child(channel, 1.0)
        assert not child.load(source, "Slow").error and not child.make().error
        began = time.monotonic()
        with pytest.raises(Lost, match="took longer"):
            child.call("call", lambda: [child.get("state") for _ in range(50)])
        assert time.monotonic() - began < 15


def test_a_door_whose_boxes_cannot_stand_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.sandbox import tree
    from labs_lib.driving.driver import NotStarted

    monkeypatch.setattr(tree, "visible", lambda paths, by_others: [tmp_path / "nowhere"])
    door = Door(tmp_path)
    with (
        door.serving(),
        boxed_child(door.name) as channel,
        pytest.raises(NotStarted, match="didn't start"),
    ):
        Child(channel)
    assert len(door.problems) == 1 and "could not be set up" in door.problems[0]
