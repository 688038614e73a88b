"""Has submissions' evidence judged in a sandbox of the judge's own and brings the verdicts back.

What a plan or a table does to the judge's process hurts that submission only. A step at which the judge ends, or runs out of
time, is judged again by a fresh judge that has seen nobody else's work; only if that ends too it gets no points. A judge goes on
to the next submission, whose engine is warm then, unless something went wrong or had to be refused, or it grew: then nobody meets
that judge again.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

import grader
from grader.judging.submission import Patience, Ran
from grader.sandbox import watch
from grader.sandbox.children import Door
from grader.sandbox.runner import Ended, Limits, Use
from grader.sandbox.workbox import Workbox, workbox
from grader.vetting import Rejected, read_json
from grader.vetting.files import shown
from grader.vetting.removal import remove_or_say
from labs_lib import registry
from labs_lib.checking.verdict import Finding, Status, Verdict
from labs_lib.errors import LabsError
from labs_lib.registry import Module, Step

TRIES = 2  # of a step at which the judge ends, the last by a fresh one; and of handing in what a run left
PROGRAM = ("-m", "grader.judging.judge_inside")
SERVES = 25  # submissions, before a judge is replaced all the same
MEMORY = 5 * 2**30  # bytes, of the judge's sandbox
GROWN_MEMORY = (
    MEMORY * 4 // 5
)  # bytes at the end of a submission, and of files in its box, at which a judge is replaced:
GROWN_DISK = 2**30  # shuffle files and caches of one submission are not the next one's burden
START = 60.0  # seconds that a judge may take for a submission beside its steps
LOOK_EVERY = 0.1  # seconds between looks at whether the judge is done
RESULT_BYTES = 32 * 2**20
LATE = (124, 128 + signal.SIGPROF)  # exit codes of a judge that ended, or was ended, as a step took too long
SENTENCE = 2000  # characters of any text in a verdict

Found = dict[str, tuple[Verdict, dict[str, Any] | None]]


@dataclass(frozen=True)
class Judged:
    """The verdict on each step, and the evidence as the judge saw it (the solution's becomes the reference)."""

    verdicts: tuple[Verdict, ...]
    evidence: Mapping[str, dict[str, Any]]
    problems: tuple[str, ...]  # sentences about the run of the judge itself


class Judges:
    """A judge that is kept from one submission to the next, and replaced when need be. A context manager."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._judge: _Judge | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the judge, if there is one, and remove its box."""
        self._judge = None
        self._stack.close()

    def judge(
        self,
        ran: Ran,
        module: Module,
        seed: int,
        reference: Mapping[str, dict[str, Any]] | None,
        course_tables: Sequence[str],
        data: Sequence[Path],
        protected: bool,
        patience: Patience,
    ) -> Judged:
        """Judge what a run left. `reference` is the solution's evidence by step; None when the solution itself is judged.

        Raises LabsError if no sandbox can be set up, or if what the run left can't be handed over: that is no result to keep.
        Whatever the evidence holds gives a verdict.
        """
        steps = list(registry.steps(module))
        found: Found = {}
        problems: list[str] = []
        tried: Counter[str] = Counter()
        answers = {each.name.lower() for step in steps for each in step.answers if each.kind == "table"}
        while pending := [step for step in steps if step.id not in found]:
            plan = {
                "module": module.name,
                "seed": seed,
                "course_tables": list(course_tables),
                "steps": [step.id for step in pending],
                "patience": patience.step,
                "solved": [name for name, (verdict, _) in found.items() if verdict.passed],
            }
            try:
                judge = self._ready(tuple(data), protected)
                refused = judge.hand_in(ran, plan, reference, answers)
                ended = judge.wait(START + patience.judging)
                found |= judge.results(pending)
                goes_on = judge.goes_on()
            except OSError as error:
                self.close()  # it may wait for what never comes, or have half of it
                tried[""] += 1
                if tried[""] == TRIES:
                    raise LabsError(
                        f"What the notebook left could not be judged ({error.strerror or error}), so nothing was kept; "
                        "look at disk and memory of this machine, then grade it again."
                    ) from error
                continue
            except BaseException:
                self.close()
                raise
            problems += [sentence for sentence in refused if sentence not in problems]
            left = [step for step in pending if step.id not in found]
            if left or refused or not goes_on:
                self.close()
            if left:
                first = left[0]
                tried[first.id] += 1
                if tried[first.id] == TRIES:
                    problems.append(
                        f"Judging step {first.id} ended the judge, and a fresh one: {_why(ended)}"
                    )
                    sentence = f"Judging this answer took too much. {_why(ended)}"
                    found[first.id] = (_unjudged(first, sentence), None)
        return Judged(
            tuple(found[step.id][0] for step in steps),
            {step.id: evidence for step in steps if (evidence := found[step.id][1]) is not None},
            tuple(problems),
        )

    def _ready(self, data: tuple[Path, ...], protected: bool) -> _Judge:
        if self._judge is not None and not self._judge.can_take(data, protected):
            self.close()
        if self._judge is None:
            programs = [Path(grader.__file__).resolve().parent]
            box = self._stack.enter_context(workbox(data, programs, protected, with_truths=True))
            self._judge = _Judge(box, data)
            self._stack.callback(self._judge.end)
        return self._judge


@functools.cache
def kept_judges() -> Judges:
    """This process's own judge, kept from one submission to the next until the process ends."""
    judges = Judges()
    atexit.register(judges.close)
    return judges


class _Judge:
    """One judge's process and box. Submission n is handed in at inbox/n and its results are out/n/<step>.json."""

    def __init__(self, box: Workbox, data: tuple[Path, ...]) -> None:
        self._box, self._data = box, data
        self._number = -1
        self._stop = threading.Event()
        self._ended: Ended | LabsError | None = None
        self._doors = [Door(box.inbox, engine) for engine in (False, True)] if box.sandboxed else []
        self._use = Use(0, 0.0)  # as the sandbox's watch saw it last
        (box.path / "out").mkdir()
        # A thread, because the sandbox is watched from this process for as long as it lives.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def can_take(self, data: tuple[Path, ...], protected: bool) -> bool:
        """Whether this judge still works, and with those tables."""
        return self._thread.is_alive() and (self._data, self._box.sandboxed) == (data, protected)

    def hand_in(
        self,
        ran: Ran,
        plan: dict[str, Any],
        reference: Mapping[str, dict[str, Any]] | None,
        answers: Collection[str],
    ) -> list[str]:
        """Copy what a run left to where the judge looks for it; returns a sentence for what could not be taken.

        Of tables go along those that are `answers`, and those that evidence or reference speak of. After an OSError half of it may
        be there: nobody may meet this judge then.
        """
        self._number += 1
        folder = self._box.inbox / f".{self._number}"
        folder.mkdir()
        problems = []
        try:
            ran.take_evidence(folder / "evidence")
        except Rejected as refusal:
            (folder / "evidence").mkdir()
            problems.append(f"The evidence was refused: {refusal}")
        reference_text = json.dumps(reference or {})
        evidence = [file.read_bytes() for file in (folder / "evidence").rglob("*") if file.is_file()]
        refused = ran.take_tables(folder / "tables", answers, [*evidence, reference_text.encode()])
        problems += ran.take_kept(folder / "kept")
        (folder / "plan.json").write_text(json.dumps({**plan, "refused": refused}))
        (folder / "reference.json").write_text(reference_text)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # the judge's user is another one
        folder.rename(self._box.inbox / str(self._number))
        return [*problems, *refused.values()]

    def wait(self, seconds: float) -> Ended | None:
        """Return when the judge is through with what was handed in (None), or has ended. Raises LabsError.

        A judge that takes longer is ended; in a sandbox the time is its own. Raises OSError if the machine and not the judge failed.
        """
        deadline = self._time() + seconds
        while self._thread.is_alive() and not self._done.exists():
            if self._time() > deadline:
                self.end()
            time.sleep(LOOK_EVERY)
        remove_or_say(self._box.inbox / str(self._number))
        for door in self._doors:
            if door.problems:
                raise LabsError(door.problems.pop())  # no verdict: an answer could not be tried
        if self._thread.is_alive():
            return None
        if isinstance(self._ended, LabsError):
            raise self._ended
        if self._ended is not None and self._ended.reason == "machine":
            raise OSError(errno.ENOMEM, self._ended.sentence.rstrip("."))
        return self._ended

    def results(self, steps: Sequence[Step]) -> Found:
        """The verdicts and evidence that the judge wrote, held to what a verdict on that step may be."""
        found: Found = {}
        for step in steps:
            path = self._box.path / "out" / str(self._number) / f"{step.id}.json"
            if path.is_file():
                try:
                    raw = read_json(path, RESULT_BYTES, 60)
                    found[step.id] = (verdict_from(raw["verdict"], step), raw["evidence"])
                except (Rejected, KeyError, TypeError, ValueError):
                    break  # it is as good as none, and the judge is not to be believed any further
        return found

    def goes_on(self) -> bool:
        """Whether the judge may take another submission: it met nothing odd, did not grow, and is not at the end of its service."""
        try:
            clean = read_json(self._done, 100, 2) == {"clean": True}
        except Rejected:
            clean = False
        return clean and self._thread.is_alive() and self._number + 1 < SERVES and not self._grew()

    def _grew(self) -> bool:
        if self._use.memory > GROWN_MEMORY:
            return True
        space = watch.space(self._box.path, Limits().files)
        return space.used > GROWN_DISK or space.entries > Limits().files // 2

    def _time(self) -> float:
        return self._use.seconds if self._box.sandboxed else time.monotonic()

    def _look(self, use: Use) -> None:
        self._use = use

    def end(self) -> None:
        """End the judge and wait until it is gone."""
        self._stop.set()
        self._thread.join()

    @property
    def _done(self) -> Path:
        return self._box.path / "out" / str(self._number) / "done.json"

    def _run(self) -> None:
        command = [sys.executable, *PROGRAM, str(self._box.inbox)]
        command += [str(door.name) for door in self._doors[:1]]
        limits = Limits(memory=MEMORY, wall=float("inf"))  # each submission has its own time
        try:
            with contextlib.ExitStack() as stack:
                for door in self._doors:
                    stack.enter_context(door.serving())
                self._ended = self._box.run(command, limits, stop=self._stop, on_look=self._look)
        except LabsError as error:
            self._ended = error


def verdict_from(raw: Mapping[str, Any], step: Step) -> Verdict:
    """A verdict from JSON, held to the step's own title, points and hints. Raises ValueError if it is none.

    The judge's process reads hostile data, so its word is checked as well.
    """
    points = float(raw["points"])
    status: Status = raw["status"]
    if (
        not 0 <= points <= step.points
        or status not in get_args(Status)
        or (status == "pass") != (points == step.points)
    ):
        raise ValueError(f"{points:g} points and {status!r} are no verdict on step {step.id}")
    findings = tuple(
        Finding(
            _text(each["name"]),
            bool(each["ok"]),
            _text(each["expected"]),
            _text(each["found"]),
            _text(each["look"]),
        )
        for each in raw["findings"]
    )
    hints = step.hints if status != "pass" and raw["hints"] else ()
    return Verdict(
        step.id,
        step.title,
        status,
        points,
        step.points,
        _text(raw["sentence"]),
        findings,
        hints,
        float(raw["seconds"]),
        tuple(_text(told) for told in raw.get("taken", [])),
    )


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What verdict_from reads."""
    return asdict(verdict)


def _text(value: Any) -> str:
    return shown(str(value), SENTENCE)


def _why(ended: Ended | None) -> str:
    if ended is None:
        return "It left no verdict."
    if ended.returncode in LATE or ended.reason == "stopped":
        return "It ran longer than an answer may."
    if ended.returncode in (None, 0):
        return ended.sentence
    last = ended.output.strip().splitlines()[-1:] or [""]
    return f"{ended.sentence} {shown(last[0], 300)}".strip()


def _unjudged(step: Step, sentence: str) -> Verdict:
    return Verdict(step.id, step.title, "fail", 0, step.points, sentence, hints=step.hints)
