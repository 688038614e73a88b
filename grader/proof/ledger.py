"""The ledger of proofs, `tests/proved.toml`: for each exercise and each suite of tests the digest of what was proved, when, how much.

`make prove` writes it, `make test` holds everybody to it. It is evidence of a run, not the run: a draw of the proofs under a fresh seed
in every `make test` finds a ledger out that lies.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import tomli_w

from grader.course.build import replace
from grader.proof import suites
from grader.proof.dependencies import digest
from grader.proof.suites import SuiteProof
from labs_lib.errors import LabsError
from labs_lib.registry import Exercise

SUITE = "tests/"  # what the entry of a suite begins with


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


def load(root: Path) -> dict[str, Proof | SuiteProof]:
    """The ledger's entries by exercise, or by `tests/<suite>`; none if there is no ledger. Raises LabsError if it can't be read."""
    path = file(root)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return {
            name: SuiteProof(**row)
            if name.startswith(SUITE)
            else Proof(**{**row, "seeds": tuple(row["seeds"])})
            for name, row in table.items()
        }
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LabsError(
            f"{path.relative_to(root)} can't be read ({error}); `make prove` writes it anew."
        ) from None


def enter(root: Path, name: str, proof: Proof | SuiteProof) -> None:
    """Write the proof of an exercise, or of `tests/<suite>`, into the ledger in the place of an earlier one."""
    entries = load(root) | {name: proof}
    table = {name: _row(entry) for name, entry in sorted(entries.items())}
    replace(
        file(root),
        "# Written by `make prove`: what was proved, and when.\n" + tomli_w.dumps(table),
    )


def complaints(root: Path, exercises: Iterable[Exercise], of_suites: Collection[str] = ()) -> list[str]:
    """A sentence for each exercise and suite whose proof is not there or not current, and for each entry of neither."""
    entries = load(root)
    wanted = {each.id: (digest(root, each), f"EXERCISE={each.id}") for each in exercises}
    wanted |= {f"{SUITE}{each}": (suites.digest(root, each), f"SUITE={each}") for each in of_suites}
    found = [
        f"{name} {'changed since it was proved' if name in entries else 'was never proved'}: `make prove {how}`."
        for name, (now, how) in wanted.items()
        if name not in entries or entries[name].digest != now
    ]
    strays = sorted(entries.keys() - wanted.keys())
    return found + [
        f"tests/proved.toml speaks of {name}, which is no written exercise and no suite: delete its entry."
        for name in strays
    ]


def _row(entry: Proof | SuiteProof) -> dict[str, object]:
    row = asdict(entry)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}
