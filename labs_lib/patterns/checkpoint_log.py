"""What a stream's checkpoint says, read from its files.

Spark writes `offsets/<n>` before batch n runs and `commits/<n>` after it has ended; a file source keeps in `sources/0` which files
each of its offsets stands for, every tenth time as one file with all that came before (`<n>.compact`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from labs_lib.arguments import checked
from labs_lib.errors import LabsError


@checked
def batches(checkpoint: str | Path) -> pd.DataFrame:
    """One row per batch that the checkpoint knows: `batch` (its number), `files` (names, if its source is a folder) and `finished`.

    A batch that is not finished will run again, on the same files, when the stream starts again. Raises LabsError if there is no
    checkpoint in that folder or a file of it can't be read.
    """
    folder = Path(checkpoint)
    if not (folder / "offsets").is_dir():
        raise LabsError(f"There is no checkpoint in {folder}; a stream writes one there when it starts.")
    planned, finished = numbers(folder / "offsets"), set(numbers(folder / "commits"))
    try:
        names = _files(folder / "sources" / "0")
        ends = {batch: _source_offset(folder / "offsets" / str(batch)) for batch in planned}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabsError(
            f"The checkpoint in {folder} can't be read ({type(error).__name__}: {error}); if its files were edited by hand, "
            "put them back."
        ) from None
    rows = []
    for batch in planned:
        first = ends.get(batch - 1, -1) + 1
        files = sorted(name for offset in range(first, ends[batch] + 1) for name in names.get(offset, []))
        rows.append({"batch": batch, "files": ", ".join(files), "finished": batch in finished})
    return pd.DataFrame(rows, columns=["batch", "files", "finished"])


@checked
def forget_last_batch(checkpoint: str | Path) -> int:
    """Remove the note that the last micro-batch was finished and return that batch's id; the stream must not be running.

    A query writes this note after the batch's function returned. One that dies in between finds on its restart that the batch was
    begun and not finished, and runs it again: same id, same input. Raises LabsError if no batch was ever finished there, or if a later
    one is under way: Spark would run that one again, and pass over this one.
    """
    commits = Path(checkpoint) / "commits"
    finished, planned = numbers(commits), numbers(Path(checkpoint) / "offsets")
    if finished and planned and planned[-1] > finished[-1]:
        raise LabsError(
            f"Batch {planned[-1]} is not finished in the checkpoint {Path(checkpoint).name} already; start the stream, and it runs again."
        )
    if not finished:
        raise LabsError(
            f"No batch was finished in the checkpoint {Path(checkpoint).name}; start the stream with it first."
        )
    for file in (commits / str(finished[-1]), commits / f".{finished[-1]}.crc"):
        file.unlink(missing_ok=True)
    return finished[-1]


def numbers(folder: Path) -> list[int]:
    """The numbers that a folder's files have for names, sorted; none if the folder is not there."""
    return sorted(int(file.name) for file in folder.glob("*") if file.name.isdecimal())


def _source_offset(file: Path) -> int:
    """The offset of the first source in an entry of the offset log; -1 where it is no file source's."""
    offsets = [json.loads(line) for line in file.read_text().splitlines()[2:3] if line.startswith("{")]
    return int(offsets[0].get("logOffset", -1)) if offsets else -1


def _files(folder: Path) -> dict[int, list[str]]:
    """Names of the files that each offset of a file source stands for."""
    found: dict[int, set[str]] = {}
    for log in folder.glob("*"):
        if not log.name.startswith("."):
            for line in log.read_text().splitlines()[1:]:
                entry = json.loads(line)
                found.setdefault(int(entry["batchId"]), set()).add(entry["path"].rsplit("/", 1)[-1])
    return {offset: sorted(names) for offset, names in found.items()}
