"""The sandbox's first program: it takes the plan, sets the limits and becomes the command.

It is copied in by itself and run by `python -I -S`, so it uses the standard library only. It says READY on
standard output once the sandbox stands, then reads one JSON object from standard input: `command`,
`environment`, `folder`, `limits` ({RLIMIT name: value}) and `channel`, a descriptor that the command finds as
CHANNEL, or null. A plan cut short means that the caller died, and nothing is started.

Limits are set here, not by the caller: since Linux 5.14 RLIMIT_NPROC counts per user namespace, and only from
within does it leave the caller's other processes out.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys

READY = b"\0sandbox ready\n"
CHANNEL = 3  # where a command finds the connection that its caller handed in
NOT_STARTED, NOT_RUNNABLE = 125, 127  # the shell's and env(1)'s customary codes


def lower(name: str, value: int) -> None:
    """Set a resource limit for good; one that is lower already stays."""
    number = getattr(resource, name)
    hard = resource.getrlimit(number)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(number, (value, value))


def main() -> None:
    """Become the command of the plan. Never returns."""
    os.write(1, READY)
    try:
        with open(0, "rb", closefd=False) as caller:
            plan = json.loads(caller.read())
    except ValueError:
        os._exit(NOT_STARTED)
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    handed_in = plan["channel"] is not None
    if handed_in:
        os.dup2(plan["channel"], CHANNEL)
    os.closerange(CHANNEL + handed_in, os.sysconf("SC_OPEN_MAX"))
    for name, value in plan["limits"].items():
        lower(name, value)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and programs inherit that
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(plan["folder"])
        os.execvpe(plan["command"][0], plan["command"], plan["environment"])
    except OSError as error:
        print(f"{plan['command'][0]} cannot be run in the sandbox: {error.strerror}.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(NOT_RUNNABLE)


if __name__ == "__main__":
    main()
