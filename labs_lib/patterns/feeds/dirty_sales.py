"""Sales lines as JSON text in three arrivals, some of them bad, for exercise 2b.1. How they come to be: `datasets/feeds/dirty_sales.py`."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import datasets
from labs_lib import settings
from labs_lib.arguments import checked
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

ARRIVALS = 3


@dataclass(frozen=True)
class DirtySales:
    """A landing folder into which the arrivals of one seed come as text files."""

    folder: Path
    seed: int

    @checked
    def deliver(self, arrival: int) -> Path:
        """Put the file of one arrival (1 to 3) into the folder and return its path; what has come already stays as it is.

        Raises LabsError if there is no such arrival.
        """
        if arrival not in range(1, ARRIVALS + 1):
            raise LabsError(f"The feed has no arrival {arrival!r}; its arrivals are 1 to {ARRIVALS}.")
        file = self.folder / f"arrival-{arrival}.json"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / f".{file.name}"  # Spark reads no file whose name begins with a dot
            shutil.copyfile(
                datasets.arrived("dirty_sales", self.seed, settings.home() / "data") / file.name, scratch
            )
            # A file stream takes files in the order of their times; two that were written in one millisecond have none.
            when = time.time() - 60 * (ARRIVALS - arrival)
            os.utime(scratch, (when, when))
            os.replace(scratch, file)
        return file


def lay(lab: Lab) -> DirtySales:
    """An empty landing folder for the feed, below the lab's folder; files that were there are removed."""
    folder = lab.folder / "feeds" / "dirty_sales"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return DirtySales(folder, lab.seed)
