"""`grader prove`: all answers of known worth to the chosen exercises, then each module's class through sandbox and judge, and suites of tests, into the ledger.

Exercises run side by side, each in a process on a server of its own. What was tried is kept in build/proof/, so that a run that was
stopped goes on; a change of what the proof depends on begins anew.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from grader.course import paths
from grader.course.build import replace
from grader.proof import ledger
from grader.proof.answers import answers, scale_of
from grader.proof.dependencies import digest
from grader.proof.suites import SUITES
from grader.proof.trial import SOLUTION, Trial
from grader.rehearsal.own_server import own_server
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Exercise, Module

SEEDS = 3


@dataclass
class Kept:
    """What is kept of a proof that is not finished: what it is a proof of, its seeds, and the trials that went well."""

    digest: str
    seeds: list[int]
    done: dict[str, float] = field(default_factory=dict)  # seconds by "<seed> <answer>"


def prove_answers(
    root: Path, exercise: Exercise, seeds: Sequence[int], tell: Callable[[Trial], None]
) -> tuple[Kept, list[str]]:
    """Try the solution under each of the seeds, and each answer under one of them; return what is kept and the complaints.

    `seeds` count only where no earlier run of the same proof was stopped: that one goes on under its own.
    """
    kept, complaints = _kept(root, exercise, seeds), []
    for trial in _trials(root, exercise, _work(root, exercise, kept)):
        tell(trial)
        if trial.complaint is None:
            kept.done[f"{trial.seed} {trial.answer}"] = trial.seconds
            _keep(root, exercise, kept)
        else:
            complaints.append(trial.complaint)
    return kept, complaints


def enter(root: Path, exercise: Exercise, kept: Kept) -> None:
    """Enter a finished proof into the ledger and forget what was kept of it. Raises LabsError if the exercise changed meanwhile."""
    if digest(root, exercise) != kept.digest:
        raise LabsError(f"{exercise.id} changed while it was proved; prove it again.")
    known = answers(root, exercise)
    wrong = sum(each.kind == "wrong" for each in known)
    ledger.enter(
        root,
        exercise.id,
        ledger.Proof(
            kept.digest,
            date.today(),
            tuple(kept.seeds),
            scale_of(exercise),
            wrong,
            len(known) - wrong,
            round(sum(kept.done.values())),
        ),
    )
    _file(root, exercise).unlink()


def side_by_side(
    root: Path, exercises: Sequence[Exercise], seeds: Sequence[int], jobs: int, tell: Callable[[Trial], None]
) -> dict[str, tuple[Kept, list[str]]]:
    """`prove_answers` of some exercises, so many at once; by exercise."""
    lock = threading.Lock()

    def one_at_a_time(trial: Trial) -> None:
        with lock:
            tell(trial)

    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            each.id: pool.submit(prove_answers, root, each, seeds, one_at_a_time) for each in exercises
        }
        return {name: future.result() for name, future in futures.items()}


@dataclass(frozen=True)
class Chosen:
    """What is to be proved: written exercises by module, and suites of tests."""

    modules: dict[Module, list[Exercise]]
    suites: list[str]

    @property
    def exercises(self) -> list[Exercise]:
        return [exercise for exercises in self.modules.values() for exercise in exercises]


def chosen(root: Path, what: str | None) -> Chosen:
    """All of the course, a module with its room's suite, one exercise, or one suite. Raises LabsError if there is none of that name."""
    course = paths.registry_of(root)
    everything = {
        module: [exercise for exercise in module.exercises if exercise.written]
        for module in registry.modules(course)
    }
    found = {
        module: [each for each in exercises if what in (None, module.name, each.id)]
        for module, exercises in everything.items()
    }
    found = {module: exercises for module, exercises in found.items() if exercises}
    rooms = {registry.room(module.name) for module in found if module.name == what}
    suites = [name for name in SUITES if what in (None, name) or name in rooms]
    if not found and not suites:
        known = [*(each.id for exercises in everything.values() for each in exercises), *SUITES]
        raise LabsError(
            f"There is no written module, exercise or suite {what!r} to prove; there are {', '.join(known)}."
        )
    return Chosen(found, suites)


def seeds_from(seed: int) -> list[int]:
    """The seeds of a proof, drawn from one."""
    return random.Random(seed).sample(range(1, 2**31), SEEDS)


def trials_left(root: Path, exercises: Sequence[Exercise]) -> int:
    """About how many trials the proofs of these exercises still take."""
    return sum(
        SEEDS + len(answers(root, exercise)) - len(_kept(root, exercise, ()).done) for exercise in exercises
    )


def _work(root: Path, exercise: Exercise, kept: Kept) -> dict[int, list[str]]:
    """What is left to try: answers go round the seeds, the solution runs under each."""
    work: dict[int, list[str]] = {seed: [] for seed in kept.seeds}
    for place, answer in enumerate(answers(root, exercise)):
        seed = kept.seeds[place % len(kept.seeds)]
        if f"{seed} {answer.name}" not in kept.done:
            work[seed].append(answer.name)
    return {seed: names for seed, names in work.items() if names or f"{seed} {SOLUTION}" not in kept.done}


def _trials(root: Path, exercise: Exercise, work: dict[int, list[str]]) -> Iterator[Trial]:
    if not work:
        return
    with own_server() as environment:
        worker = subprocess.Popen(
            [sys.executable, "-m", "grader.proof.worker", str(root), exercise.id],
            cwd=root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert worker.stdin and worker.stdout and worker.stderr
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(worker.stderr.read()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        try:
            worker.stdin.write(json.dumps(work) + "\n")
            worker.stdin.flush()  # and stays open: its end is how the worker learns that nobody waits for it
            for line in worker.stdout:
                row = json.loads(line)
                yield Trial(exercise.id, row["seed"], row["answer"], row["complaint"], row["seconds"])
            if worker.wait():
                reader.join(5)
                last = "".join(said).strip().splitlines()[-1:] or ["no message"]
                sentence = f"The process that tries {exercise.id} ended with {worker.returncode}: {last[0]}"
                yield Trial(exercise.id, 0, SOLUTION, sentence, 0.0)
        finally:
            worker.kill()
            worker.wait()


def _file(root: Path, exercise: Exercise) -> Path:
    return root / "build" / "proof" / f"{exercise.id}.json"


def _kept(root: Path, exercise: Exercise, seeds: Sequence[int]) -> Kept:
    fresh = Kept(digest(root, exercise), list(seeds))
    try:
        earlier = Kept(**json.loads(_file(root, exercise).read_text()))
    except (OSError, ValueError, TypeError):
        return fresh
    return earlier if earlier.digest == fresh.digest else fresh


def _keep(root: Path, exercise: Exercise, kept: Kept) -> None:
    replace(_file(root, exercise), json.dumps(vars(kept), indent=1))
