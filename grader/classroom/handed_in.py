"""Where in a learner's folder the notebook of a module is, as people and learning platforms really hand it in.

The place that nbgrader names counts if something is there. Else the one notebook, in a folder or a zip, that is called like
the module; else the one in a folder that is; else the only one that has the module's cells. Two that differ are refused:
which one counts is for the learner to say. Whatever is not taken is named.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

import dateutil.parser
import dateutil.tz

from grader.classroom import intake, zipped
from labs_lib.vetting.text import Rejected, shown

ENTRIES, DEPTH = (
    2_000,
    6,
)  # files and folders that are looked at in a learner's folder, and folders inside each other
ZIPS, NOTEBOOKS = 5, 10  # that are opened for one learner
NAMED = 5  # things that a sentence names, before it counts the rest
TIMESTAMP, TIMESTAMP_BYTES = "timestamp.txt", 200
# Of a notebook's name: browsers and mail programs add to it when they take JSON for text.
NOTEBOOK = (".ipynb", ".ipynb.txt", ".ipynb.json")
LEAVINGS = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini", TIMESTAMP)  # beside hidden files

Reads = Callable[[bytes], object]


@dataclass(frozen=True)
class File:
    """A file in a learner's folder, by its path below submitted/, or a file in such a zip."""

    parts: tuple[str, ...]
    member: zipped.Member | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """All folders and names on the way, below the learner's folder; a zip counts as a folder."""
        return (*self.parts[1:], *(self.member.parts if self.member else ()))

    def __str__(self) -> str:
        inside = f" in {'/'.join(self.parts)}" if self.member else ""
        return shown("/".join(self.member.parts if self.member else self.parts) + inside, 160)


@dataclass(frozen=True)
class Found:
    """The bytes of a learner's notebook, the name of its file, when it was handed in ("" if nobody says), and what is odd about its place."""

    data: bytes
    where: str
    timestamp: str
    notes: tuple[str, ...]


def notebook_of(
    handed_in: Path, folder: str, module: str, modules: Sequence[str], reads: Reads
) -> Found | None:
    """The notebook of `module` in a learner's folder below `handed_in`; None if all that is there is of other `modules`.

    `reads` raises Rejected for bytes that are no notebook of the module. Raises Rejected with a sentence if there is none, or
    more than one that it could be.
    """
    if handed_in.joinpath(folder).is_symlink():
        _reject(f"{shown(folder, 60)} is a symbolic link: put the notebook itself there.")
    proper = File((folder, module, f"{module}.ipynb"))
    there = handed_in.joinpath(*proper.parts)
    if os.path.lexists(there) or there.parent.is_symlink() or there.parent.is_file():
        data = intake.content(there, handed_in)
        try:
            every = _not_anothers(_files(handed_in, folder), module, modules)
            notes = _left_out([file for file in every if file != proper])
        except Rejected as refusal:
            notes = [str(refusal)]
        return _found(handed_in, module, proper, data, notes)
    files = list(_files(handed_in, folder))
    if not (every := _not_anothers(files, module, modules)):
        if files:
            return None
        _reject(f"{shown(folder, 60)} holds no file.")
    candidates, notes = [file for file in every if _is(file, *NOTEBOOK)], []
    for zip_file in [file for file in every if _is(file, ".zip")][:ZIPS]:
        try:
            data = intake.content(handed_in.joinpath(*zip_file.parts), handed_in)
            inside = [File(zip_file.parts, each) for each in zipped.members(data, str(zip_file))]
        except Rejected as refusal:
            notes.append(str(refusal))
            continue
        notebooks = [file for file in inside if _is(file, *NOTEBOOK) and not any(map(is_leaving, file.path))]
        candidates += _not_anothers(notebooks, module, modules)
    if not candidates:
        wanted = f"There is no notebook of {module}: ask for its .ipynb file, by itself or in one zip."
        _reject(" ".join([wanted, *(notes or _left_out(every))]))
    chosen, data = _the_one(handed_in, module, modules, candidates, reads)
    notes.append(f"Taken from {chosen}, as nothing lies at {'/'.join(map(shown, proper.parts))}.")
    rest = [each for each in candidates if each != chosen and each.member]
    rest += [each for each in every if each.parts != chosen.parts]
    return _found(handed_in, module, chosen, data, [*notes, *_left_out(rest)])


def says(name: str, modules: Sequence[str]) -> str:
    """The module that a file or folder is called after, whatever its case, marks and additions; "" if none."""
    plain = _plain(name)
    return next((each for each in modules if re.search(rf"(?<![^\W_]){_plain(each)}(?![^\W_])", plain)), "")


def is_called(name: str, modules: Sequence[str]) -> bool:
    """Whether a name is a module's and nothing else, but for case and marks."""
    return _plain(name) in map(_plain, modules)


def left_out(names: Sequence[str]) -> str:
    """A sentence on what was not looked at."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"Left out: {', '.join(names[:NAMED])}{more}."


def is_leaving(name: str) -> bool:
    """Whether a name is of what systems leave behind, which nobody handed in."""
    return name.startswith(".") or name in LEAVINGS


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", name).casefold()).strip("_")


def _is(file: File, *endings: str) -> bool:
    return file.path[-1].strip().lower().endswith(endings)


def _rank(file: File, module: str, modules: Sequence[str]) -> int | None:
    """0 for a file that is called like the module, 1 for one in such a folder, 2 for one of which names don't tell; None for another module's."""
    stem = says(PurePosixPath(file.path[-1]).stem, modules)
    if stem:
        return 0 if stem == module else None
    folders = {said for name in file.path[:-1] if (said := says(PurePosixPath(name).stem, modules))}
    return 1 if module in folders else None if folders else 2


def _not_anothers(files: Iterable[File], module: str, modules: Sequence[str]) -> list[File]:
    return [file for file in files if _rank(file, module, modules) is not None]


def _the_one(
    handed_in: Path, module: str, modules: Sequence[str], candidates: list[File], reads: Reads
) -> tuple[File, bytes]:
    """The notebook that it must be, with its bytes. Raises Rejected."""
    ranks = [rank for file in candidates if (rank := _rank(file, module, modules)) is not None]
    best = [file for file, rank in zip(candidates, ranks, strict=True) if rank == min(ranks)]
    if len(best) > NOTEBOOKS:
        _reject(f"There are {len(best)} notebooks that could be {module}: leave the one that counts.")
    by_content: dict[str, File] = {}
    refusals: list[str] = []
    for file in best:
        try:
            data = _content(handed_in, file)
            if len(best) > 1 or min(ranks) == 2:  # else what is wrong with it is said of the one
                reads(data)
            by_content.setdefault(hashlib.sha256(data).hexdigest(), file)
        except Rejected as refusal:
            refusals.append(str(refusal))
    if not by_content:
        among = f"{best[0]} is none" if len(best) == 1 else f"{len(best)} were tried"
        _reject(f"There is no notebook of {module}; {among}: {refusals[0]}")
    if len(by_content) > 1:
        which = ", ".join(map(str, list(by_content.values())[:NAMED]))
        _reject(
            f"There are {len(by_content)} notebooks that could be {module}: {which}. Leave the one that counts."
        )
    (chosen,) = by_content.values()
    return chosen, _content(handed_in, chosen)


def _content(handed_in: Path, file: File) -> bytes:
    data = intake.content(handed_in.joinpath(*file.parts), handed_in)
    return zipped.content(data, file.member, "/".join(map(shown, file.parts))) if file.member else data


def _files(handed_in: Path, folder: str) -> Iterator[File]:
    """What lies in a learner's folder and nobody's system left there. Links are listed and not followed. Raises Rejected."""
    seen = 0
    waiting: list[tuple[str, ...]] = [(folder,)]
    while waiting:
        parts = waiting.pop()
        try:
            with os.scandir(handed_in.joinpath(*parts)) as entries:
                names = []
                for entry in entries:
                    seen += 1
                    if seen > ENTRIES:
                        _reject(f"{shown(folder, 60)} holds more than {ENTRIES:,} files and folders.")
                    if not is_leaving(entry.name):
                        names.append((entry.name, entry.is_dir(follow_symlinks=False)))
        except OSError as error:
            _reject(f"{shown('/'.join(parts))} can't be read: {error.strerror}.")
        for name, is_folder in sorted(names):
            if not is_folder:
                yield File((*parts, name))
            elif len(parts) == DEPTH:
                _reject(f"{shown('/'.join(parts))} holds folders deeper inside each other than {DEPTH}.")
            else:
                waiting.append((*parts, name))


def _left_out(files: Sequence[File]) -> list[str]:
    return [left_out([str(file) for file in files])] if files else []


def _found(handed_in: Path, module: str, file: File, data: bytes, notes: Sequence[str]) -> Found:
    timestamp, odd = _timestamp(handed_in, module, file)
    return Found(data, shown(file.path[-1], 60), timestamp, (*notes, *odd))


def _timestamp(handed_in: Path, module: str, file: File) -> tuple[str, tuple[str, ...]]:
    """When it was handed in, as nbgrader reads it, and a note if timestamp.txt does not say."""
    folders = (file.parts[:-1], (file.parts[0], module), file.parts[:1])
    places = [handed_in.joinpath(*folder, TIMESTAMP) for folder in folders]
    place = next((each for each in places if os.path.lexists(each)), None)
    if place is None:
        return "", ()
    try:
        if place.stat(follow_symlinks=False).st_size > TIMESTAMP_BYTES:
            raise Rejected("It is long.")
        return _text(_date(_decoded(intake.content(place, handed_in)))), ()
    except Rejected:
        status = os.stat(handed_in.joinpath(*file.parts), follow_symlinks=False)
        own = _text(datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC))
        return own, (f"{TIMESTAMP} gives no date; the file's own time, {own}, counts.",)


def _decoded(data: bytes) -> str:
    """A short text, whichever mark an editor of Windows put before it."""
    marked = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((name for mark, name in marked.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding, errors="replace").strip()


def _date(text: str) -> datetime.datetime:
    """The time in UTC that a text names with a year; without a zone it is UTC, as nbgrader writes it. Raises Rejected."""
    if re.search(r"\d{4}", text):
        # Whatever the parser of dates makes of a text that is none.
        with contextlib.suppress(Exception):
            found = dateutil.parser.parse(
                text, tzinfos=lambda name, offset: offset or dateutil.tz.gettz(name)
            )
            if 1990 <= found.year < 2200:
                return found.astimezone(datetime.UTC) if found.tzinfo else found
    raise Rejected("It is no date.")


def _text(when: datetime.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S.%f} UTC"


def _reject(sentence: str) -> NoReturn:
    raise Rejected(shown(sentence, 600)) from None
