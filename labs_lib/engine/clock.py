"""Patience with a busy machine: time passes for a program as far as it gets a CPU, or there is one free that it leaves alone.

Wall time is unfair where others keep the machine busy: who waits for a CPU has done nothing slow. Source: proc(5), /proc/stat.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

SLOWEST = 4.0  # times as long as its own time anything may take by the wall
SHORTEST = 0.1  # seconds between looks; the kernel counts hundredths
FREE = 0.5  # of one CPU: with so much idle nobody has to wait


class OwnTime:
    """Seconds that passed for some processes, from now on.

    `used` tells the CPU seconds that they have used so far, `waits` whether one of them runs or waits for a CPU: who sleeps isn't held up.
    """

    def __init__(self, used: Callable[[], float], waits: Callable[[], bool]) -> None:
        self._used, self._waits = used, waits
        self._began = self._last = time.monotonic()
        self._cpu, self._idle = used(), _idle()
        self._own = 0.0

    def passed(self) -> float:
        """Seconds of their own time so far: wall time where the machine had a CPU free, else what they got; never below a quarter of the wall's.

        It has to be asked every second or so, as what is idle is looked at between calls.
        """
        now = time.monotonic()
        if (span := now - self._last) >= SHORTEST:
            cpu, idle = self._used(), _idle()
            free = idle is None or self._idle is None or idle - self._idle >= FREE * span
            self._own += span if free or not self._waits() else min(span, max(0.0, cpu - self._cpu))
            self._last, self._cpu, self._idle = now, cpu, idle
        return max(self._own, (now - self._began) / SLOWEST)


def cpu_seconds(fields: list[str]) -> float:
    """CPU seconds of a process and the children that it waited for, from the fields of its /proc/<pid>/stat after the name."""
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def waiting(processes: Iterable[int]) -> bool:
    """Whether a thread of these processes, but for the one that asks, runs or waits for a CPU."""
    own = str(threading.get_native_id())
    for pid in processes:
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text(errors="replace")
                if thread != own and stat.rpartition(")")[2].split()[0] == "R":
                    return True
        except (OSError, IndexError):
            continue
    return False


def of_everybody() -> OwnTime:
    """The own time of all processes in view: in a sandbox, those in it. The wall's where there is no /proc."""
    return OwnTime(_cpu_of_all, lambda: waiting(_in_view()))


def _in_view() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []


def _cpu_of_all() -> float:
    total = 0.0
    for name in _in_view():
        try:
            total += cpu_seconds(
                Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
        except (OSError, ValueError):
            continue
    return total


def _idle() -> float | None:
    """Seconds that the machine's CPUs have been idle, all together; None where that isn't told."""
    try:
        fields = Path("/proc/stat").read_text().split(maxsplit=6)
        return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
