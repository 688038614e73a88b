"""The ledger of proofs, `tests/proved.toml`: for each exercise the digest of what was proved, when, under which seeds, how much.

`make prove` writes it, `make test` holds everybody to it. It is evidence of a run, not the run: a draw of the proofs under a fresh seed
in every `make test` finds a ledger out that lies.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import tomli_w

from grader.course.build import replace
from grader.proof.dependencies import digest
from labs_lib.errors import LabsError
from labs_lib.registry import Exercise


@dataclass(frozen=True)
class Proof:
    """One exercise's entry. `seconds` is what the proof took, of wall time on the machine that made it."""

    digest: str
    proved: date
    seeds: tuple[int, ...]
    scale: float
    wrong: int
    right: int
    seconds: int


def file(root: Path) -> Path:
    """Where the ledger is."""
    return root / "tests" / "proved.toml"


def load(root: Path) -> dict[str, Proof]:
    """The ledger's entries by exercise; none if there is no ledger. Raises LabsError if it can't be read."""
    path = file(root)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Proof(**{**row, "seeds": tuple(row["seeds"])}) for name, row in table.items()}
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LabsError(
            f"{path.relative_to(root)} can't be read ({error}); `make prove` writes it anew."
        ) from None


def enter(root: Path, exercise: Exercise, proof: Proof) -> None:
    """Write an exercise's proof into the ledger in the place of an earlier one."""
    entries = load(root) | {exercise.id: proof}
    table = {name: {**asdict(entry), "seeds": list(entry.seeds)} for name, entry in sorted(entries.items())}
    replace(
        file(root),
        "# Written by `make prove`: what was proved of each exercise, and when.\n" + tomli_w.dumps(table),
    )


def complaints(root: Path, exercises: Iterable[Exercise]) -> list[str]:
    """A sentence for each exercise whose proof is not there or not current, and for each entry of no exercise."""
    entries, known = load(root), list(exercises)
    found = [
        f"{each.id} {'changed since it was proved' if each.id in entries else 'was never proved'}: `make prove EXERCISE={each.id}`."
        for each in known
        if each.id not in entries or entries[each.id].digest != digest(root, each)
    ]
    strays = sorted(entries.keys() - {each.id for each in known})
    return found + [
        f"tests/proved.toml speaks of {name}, which is no written exercise: delete its entry."
        for name in strays
    ]
