"""`grader check` of whole modules: what doesn't need each other runs side by side, each run in a process and each place with a Spark server of its own.

A server of its own, because a notebook may hold one of two cores for a while (`interleave`) and reads what the engine did: on a
server that another notebook keeps busy, figures and outcomes would depend on luck.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import get_args

import psutil

from grader.course.notebook import Place
from grader.rehearsal.outcome import Failure, Listener, Outcome, Stage, StepRun
from grader.rehearsal.own_server import own_server
from grader.rehearsal.replay import STOP_SECONDS
from grader.rehearsal.run import rehearse, stopped
from labs_lib import settings
from labs_lib.registry import Module

SERVER_MEMORY = 4 * 2**30  # bytes that a Spark server and its notebook take

Run = tuple[Module, Stage]


def jobs_that_fit() -> int:
    """How many runs this machine takes side by side: one per core, as far as the free memory holds a server for each.

    One where SPARK_REMOTE names a cluster: all runs would share it.
    """
    if settings.remote():
        return 1
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // SERVER_MEMORY))


def check_modules(
    root: Path, modules: Sequence[Module], seed: int, jobs: int, listener: Listener
) -> list[Outcome]:
    """Run each module's solution under `seed` and replay its committed notebook, `jobs` runs at a time; outcomes are in that order.

    The first place works with the user's own server, which goes on; those of the others are stopped. An exception, such as
    Ctrl-C's, stops all runs first.
    """
    runs: list[Run] = [(module, stage) for module in modules for stage in get_args(Stage)]
    waiting, done = list(runs), dict[tuple[str, Stage], Outcome]()
    with contextlib.ExitStack() as stack:
        places = [_Place(str(settings.home()))]
        while len(places) < min(jobs, len(runs)):
            places.append(_Place(stack.enter_context(own_server())["LABS_HOME"]))
        under_way: dict[Connection, _Process] = {}
        stack.callback(_stop, under_way)
        while waiting or under_way:
            for place in places:
                if waiting and all(place is not process.place for process in under_way.values()):
                    run = _next(waiting, place, places)
                    waiting.remove(run)
                    place.served.add(run[0].name)
                    receiver, process = _start(root, run, seed, place)
                    under_way[receiver] = _Process(run, place, process)
            ready = wait(list(under_way))
            for receiver in [each for each in under_way if each in ready]:
                module, stage = under_way[receiver].run
                try:
                    told = receiver.recv()
                except EOFError:
                    code = under_way.pop(receiver).ended()
                    if (module.name, stage) not in done:
                        sentence = f"the run's process ended with exit code {code}"
                        done[module.name, stage] = stopped(module, stage, seed, sentence, listener)
                    continue
                if isinstance(told, Outcome):
                    done[module.name, stage] = told
                else:
                    _tell(listener, told)
    return [done[module.name, stage] for module, stage in runs]


@dataclass
class _Place:
    """Where one run goes on at a time: a LABS_HOME, and the modules that its server has met."""

    home: str
    served: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Process:
    run: Run
    place: _Place
    process: SpawnProcess

    def ended(self) -> int | None:
        self.process.join()
        return self.process.exitcode


def _next(waiting: Iterable[Run], place: _Place, places: Iterable[_Place]) -> Run:
    """The first run whose module this server has met, as its code is compiled; else one of a module that is nobody's yet."""
    met = set().union(*(each.served for each in places))
    return min(waiting, key=lambda run: (run[0].name not in place.served, run[0].name in met))


def _start(root: Path, run: Run, seed: int, place: _Place) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, place.home, root, *run, seed))
    # Ctrl-C reaches us alone; we pass it on, when the process can deal with it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sender.close()
    return receiver, process


def _work(sender: Connection, home: str, root: Path, module: Module, stage: Stage, seed: int) -> None:
    os.setsid()
    os.environ["LABS_HOME"] = home
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        sender.send(rehearse(root, module, stage, seed, _Teller(sender)))


@dataclass(frozen=True)
class _Teller:
    """A listener that passes on what it is told to the process that prints it."""

    sender: Connection

    def cell(self, place: Place) -> None:
        self.sender.send(place)

    def step(self, run: StepRun) -> None:
        self.sender.send(run)

    def failure(self, failure: Failure) -> None:
        self.sender.send(failure)


def _tell(listener: Listener, told: Place | StepRun | Failure) -> None:
    match told:
        case Place():
            listener.cell(told)
        case StepRun():
            listener.step(told)
        case Failure():
            listener.failure(told)


def _stop(under_way: dict[Connection, _Process]) -> None:
    """End the runs that are left: interrupted they stop their kernels, and whoever takes too long is killed."""
    for run in under_way.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.process.pid or 0, signal.SIGINT)
    for run in under_way.values():
        run.process.join(2 * STOP_SECONDS)
        run.process.kill()
