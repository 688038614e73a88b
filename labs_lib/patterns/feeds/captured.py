"""Changes that a database's log gave up, as JSON files in two deliveries. How they come to be: `datasets/feeds/captured.py`."""

from __future__ import annotations

import shutil
from pathlib import Path

import datasets
from labs_lib import settings
from labs_lib.arguments import checked
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

DELIVERIES = (1, 2)
SCHEMA = "operation STRING, sequence BIGINT, household_id INT, address STRING, income STRING, household_size STRING"


def folder(lab: Lab) -> Path:
    """Where the change files of this lab arrive."""
    return lab.folder / "feeds" / "captured"


@checked
def deliver(lab: Lab, delivery: int) -> Path:
    """Put a delivery's change files into the lab's folder for them, and return that folder. The first delivery empties it before.

    A file has a change per line, as JSON: see SCHEMA. Raises LabsError if there is no such delivery, or the second comes before the first.
    """
    if delivery not in DELIVERIES:
        raise LabsError(
            f"There is no delivery {delivery!r} of change files; there are {', '.join(map(str, DELIVERIES))}."
        )
    target = folder(lab)
    if delivery == 1:
        shutil.rmtree(target, ignore_errors=True)
    elif not target.is_dir():
        raise LabsError("The second delivery of change files follows the first; deliver that one first.")
    target.mkdir(parents=True, exist_ok=True)
    arrived = datasets.arrived("captured", lab.seed, settings.home() / "data")
    for file in sorted(arrived.glob(f"changes-{delivery}-*.json")):
        scratch = target / f".{file.name}"  # a stream that lists the folder overlooks it until it is whole
        shutil.copyfile(file, scratch)
        scratch.replace(target / file.name)
    return target
