"""Notebooks in a zip file that was handed in: listed and read in memory, bounded; nothing is ever unpacked to a disk.

The file is hostile. What can't be told safely from a few numbers at its end is refused before Python's reader lists it.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import NoReturn

from labs_lib.vetting.text import Rejected, shown

ENTRIES, DIRECTORY = 2_000, 2**20  # entries, and bytes that list them
BYTES = 64 * 2**20  # of one unpacked file, as much as a notebook may have
_END, _END64, _TAIL = b"PK\x05\x06", b"PK\x06\x07", 22 + 2**16 + 20  # the records at the end, with a comment
# Other ways to pack unpack a piece at once, however large it gets.
_WAYS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError),
    *(NotImplementedError, RuntimeError, UnicodeError, LookupError),
)


@dataclass(frozen=True)
class Member:
    """A file in a zip, by its place in the list and its path there."""

    index: int
    parts: tuple[str, ...]


def members(data: bytes, where: str) -> list[Member]:
    """The files in a zip, which `where` names in sentences.

    Raises Rejected if it is no zip, lists too much, or names a place outside of itself.
    """
    try:
        found = _listed(data, where)
    except _BROKEN as error:
        _reject(where, f"is no zip file that can be read ({type(error).__name__})")
    result = []
    for index, info in enumerate(found):
        parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part not in ("", "."))
        if ".." in parts or info.filename.startswith(("/", "\\")) or ":" in info.filename:
            _reject(where, f"names a place outside of itself, {shown(info.filename, 60)}")
        if parts and not info.is_dir():
            result.append(Member(index, parts))
    return result


def content(data: bytes, member: Member, where: str) -> bytes:
    """The bytes of a file in a zip. Raises Rejected if it is encrypted, a link, too large or broken."""
    place = f"{where} holds {shown('/'.join(member.parts), 80)}, which"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            info = archive.infolist()[member.index]
            if info.flag_bits & 1:
                _reject(place, "is encrypted: ask for a zip without a password")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                _reject(place, "is a link or no regular file")
            if info.compress_type not in _WAYS:
                _reject(place, "is packed in a way that is not read here: ask for an ordinary zip")
            if info.file_size > BYTES:
                _reject(place, f"is larger than {BYTES // 2**20} MiB")
            with archive.open(info) as file:
                unpacked = file.read(BYTES + 1)
    except _BROKEN as error:
        if isinstance(error, Rejected):
            raise
        _reject(place, f"can't be read ({type(error).__name__})")
    if len(unpacked) > BYTES:
        _reject(place, f"is larger than {BYTES // 2**20} MiB")
    return unpacked


def _listed(data: bytes, where: str) -> list[zipfile.ZipInfo]:
    tail = data[-_TAIL:]
    if _END64 in tail:
        _reject(where, "is a zip64 file, which a notebook never needs")
    at = tail.find(_END)
    while at >= 0:  # each, as it is Python's reader that decides which one is meant
        if len(record := tail[at : at + 22]) == 22:
            entries, size = struct.unpack("<HL", record[10:16])
            if entries > ENTRIES or size > DIRECTORY:
                _reject(where, f"lists more than {ENTRIES:,} files")
        at = tail.find(_END, at + 1)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = archive.infolist()
    if len(found) > ENTRIES:
        _reject(where, f"lists more than {ENTRIES:,} files")
    return found


def _reject(where: str, what: str) -> NoReturn:
    raise Rejected(f"{where} {what}.") from None
