"""Delta tables out of a sandbox: a copied table's log may only speak of files in the table's own folder.

Every file of `_delta_log` is read: commits, checkpoints (classic, multi-part, V2 with sidecars), log
compactions, checksums and `_last_checkpoint`, because readers differ in which of them they trust. The rules
are those of the Delta protocol: "Add File and Remove File", "Add CDC File", "Deletion Vectors", "Table
Features", "Checkpoints", "Sidecar Files", "Version Checksum File".
"""

from __future__ import annotations

import base64
import os
import re
import stat
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from labs_lib.vetting.plans import check_metadata, check_schema
from labs_lib.vetting.sql import check_expression
from labs_lib.vetting.text import Rejected, parse_json, shown


@dataclass(frozen=True)
class TableLimits:
    """How large a learner's table may be. Sizes in bytes; `actions` are counted over the whole log."""

    files: int = 50_000
    size: int = 8 << 30
    log_files: int = 5_000
    log_file_size: int = 64 << 20
    log_size: int = 256 << 20
    actions: int = 500_000
    footer: int = 8 << 20
    json_depth: int = 64


# "Valid Feature Names in Table Features", less those under which another party says where commits or files
# are: catalogManaged, catalogOwned-preview, coordinatedCommits-preview, redirectReaderWriter,
# redirectWriterOnly.
FEATURES = frozenset(
    [
        "allowColumnDefaults",
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        "checkpointProtection",
        "checkpointProtection-preview",
        "clustering",
        "collations",
        "collations-preview",
        "columnMapping",
        "deletionVectors",
        "domainMetadata",
        "generatedColumns",
        "icebergCompatV1",
        "icebergCompatV2",
        "icebergCompatV3",
        "identityColumns",
        "inCommitTimestamp",
        "inCommitTimestamp-preview",
        "invariants",
        "materializePartitionColumns",
        "rowTracking",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantShredding",
        "variantShredding-preview",
        "variantType",
        "variantType-preview",
    ]
)
# Table properties that redirect a reader; the names hold with and without `-preview` and the like behind
# them.
REDIRECTING_PROPERTY = re.compile(
    r"delta\.(redirect|coordinatedCommits|managedCommit|catalogManaged|catalogOwned"
    r"|feature\.(redirect|coordinatedCommits|managedCommit|catalogManaged|catalogOwned))|io\.unitycatalog",
    re.IGNORECASE,
)
ACTIONS = frozenset(
    [
        "add",
        "remove",
        "cdc",
        "metaData",
        "protocol",
        "txn",
        "commitInfo",
        "domainMetadata",
        "checkpointMetadata",
        "sidecar",
    ]
)
# The parts of a checkpoint that are looked at; statistics and partition values may have any shape.
CHECKPOINT_COLUMNS = [
    "add.path",
    "add.deletionVector",
    "remove.path",
    "remove.deletionVector",
    "metaData",
    "protocol",
    "sidecar.path",
]

_COMMIT = re.compile(r"(\d{20})\.json")
_COMPACTED = re.compile(r"(\d{20})\.\d{20}\.compacted\.json")
_CHECKSUM = re.compile(r"(\d{20})\.crc")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d{10}\.\d{10}|\.[0-9a-fA-F-]{36})?\.(parquet|json)")
_SIDECAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.parquet")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UUID_VECTOR = re.compile(r"([A-Za-z0-9]*)(.{20})", re.DOTALL)

# Z85, in which deletion vectors are named, is base85 with its digits in another order.
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_FROM_Z85 = bytes.maketrans(_Z85, _B85)


@dataclass(frozen=True)
class _File:
    """A file that an action names: its path in the folder, and its deletion vector as the log has it."""

    path: str
    vector: str


@dataclass
class _Log:
    """What has been read of a log; `vectors` are the files of the deletion vectors that adds name."""

    table: Path
    limits: TableLimits
    actions: int = 0
    active: set[_File] = field(default_factory=set)
    vectors: dict[_File, str] = field(default_factory=dict)
    change_files: set[str] = field(default_factory=set)


def check_table(folder: Path, *, limits: TableLimits | None = None) -> None:
    """Check the Delta table in `folder`, which has to be a copy that nobody changes any more (see
    files.copy_regular).

    Raises Rejected, naming table and commit, for paths that leave the folder, features and properties that
    redirect a reader, missing data files, expressions that plans.check_expression refuses, damaged or
    oversized files.
    """
    log = _Log(folder, limits or TableLimits())
    _check_tree(log)
    delta_log = folder / "_delta_log"
    commits: dict[int, Path] = {}
    checkpoints: dict[int, list[Path]] = {}
    names = sorted(entry.name for entry in os.scandir(delta_log))
    for name in names:
        path = delta_log / name
        if name.startswith("."):  # Hadoop's checksums and unfinished files: no reader opens them by name
            continue
        if match := _COMMIT.fullmatch(name):
            commits[int(match[1])] = path
        elif match := _CHECKPOINT.fullmatch(name):
            checkpoints.setdefault(int(match[1]), []).append(path)
        elif match := _COMPACTED.fullmatch(name):
            for _ in _json_actions(path, log):
                pass
        elif _CHECKSUM.fullmatch(name):
            _check_checksum(path, log)
        elif name == "_last_checkpoint":
            _check_last_checkpoint(path, log)
        elif name == "_last_vacuum_info":  # a version number, which only another VACUUM reads
            _json_object(path, log)
        elif name == "_sidecars" and path.is_dir():
            for sidecar in _visible(path):
                for _ in _parquet_actions(sidecar, log):
                    pass
        elif name == "_staged_commits" and path.is_dir() and not _visible(path):
            continue  # Spark makes the folder for every table; only catalog-managed tables fill it
        else:
            _refuse(log, path, "is no file of a Delta log that is read from its folder alone")
    if not commits and not checkpoints:
        raise Rejected(f"The table {shown(folder.name)!r} has no commit.")
    _replay(log, commits, checkpoints)
    _check_files(log)


def _check_tree(log: _Log) -> None:
    """Regular files and folders only, within limits; the copy has seen to it, but not everybody copies."""
    files = size = log_files = log_size = 0
    if not stat.S_ISDIR(os.lstat(log.table).st_mode) or not _is_folder(log.table / "_delta_log"):
        raise Rejected(f"{shown(log.table.name)!r} is no Delta table: it has no folder _delta_log.")
    for root, folders, names in os.walk(log.table):
        for name in (*folders, *names):
            path = Path(root, name)
            found = os.lstat(path)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                _refuse(log, path, "is neither a regular file nor a folder")
            files += 1
            size += found.st_size
            if "_delta_log" in path.relative_to(log.table).parts and stat.S_ISREG(found.st_mode):
                log_files += 1
                log_size += found.st_size
                if found.st_size > log.limits.log_file_size:
                    _refuse(log, path, f"is larger than {log.limits.log_file_size:,} bytes")
            for what, count, limit in (
                ("files", files, log.limits.files),
                ("bytes", size, log.limits.size),
                ("files in its log", log_files, log.limits.log_files),
                ("bytes in its log", log_size, log.limits.log_size),
            ):
                if count > limit:
                    raise Rejected(f"The table {shown(log.table.name)!r} has more than {limit:,} {what}.")


def _replay(log: _Log, commits: dict[int, Path], checkpoints: dict[int, list[Path]]) -> None:
    """Check all commits and checkpoints, and find the newest version's files (Action Reconciliation)."""
    newest = max(checkpoints, default=-1)
    for version, paths in sorted(checkpoints.items()):
        for path in paths:
            for action in (
                _parquet_actions(path, log) if path.suffix == ".parquet" else _json_actions(path, log)
            ):
                if version == newest:
                    _apply([action], log)
                    if sidecar := action.get("sidecar"):
                        _apply_sidecar(sidecar["path"], path, log)
    for version, path in sorted(commits.items()):
        actions = list(_json_actions(path, log))
        if version > newest:
            _apply(actions, log)


def _apply_sidecar(name: str, checkpoint: Path, log: _Log) -> None:
    path = log.table / "_delta_log" / "_sidecars" / name
    if not _is_file(path):
        _refuse(log, checkpoint, f"names the sidecar {shown(name)!r}, which is not there")
    _apply(_parquet_actions(path, log), log)


def _apply(actions: Iterable[dict[str, Any]], log: _Log) -> None:
    """One commit's effect on the active files.

    Removes come first: a new deletion vector removes and adds one path.
    """
    added: set[_File] = set()
    for action in actions:
        if remove := action.get("remove"):
            log.active.discard(_named_file(remove))
        if add := action.get("add"):
            added.add(_named_file(add))
    log.active |= added


def _named_file(action: dict[str, Any]) -> _File:
    vector = action.get("deletionVector") or {}
    key = (
        "".join(str(vector.get(part)) for part in ("storageType", "pathOrInlineDv", "offset"))
        if vector
        else ""
    )
    return _File(unquote(action["path"]), key)


def _check_files(log: _Log) -> None:
    """Every active file is there and is Parquet; change files are only looked at where they still are."""
    where = f"The table {shown(log.table.name)!r} names the file"
    for file in sorted(log.active, key=lambda file: file.path):
        path = log.table / file.path
        if not _is_file(path):
            raise Rejected(f"{where} {shown(file.path)!r}, which is not there.")
        _check_footer(path, log)
        vector = log.vectors.get(file)
        if vector and not _is_file(log.table / vector):
            raise Rejected(f"{where} {vector!r}, which is not there.")
    for name in sorted(log.change_files):
        if _is_file(log.table / name):
            _check_footer(log.table / name, log)


# Files of the log


def _json_actions(path: Path, log: _Log) -> Iterator[dict[str, Any]]:
    """The checked actions of a file with one JSON object a line."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        if b"\r" in line.removesuffix(b"\r"):
            _refuse(log, path, "has a line end that readers split in different ways")
        action = parse_json(line, log.limits.json_depth, f"{_place(log, path)}, line {number},")
        if not isinstance(action, dict):
            _refuse(log, path, f"has a line {number} that is no JSON object")
        _check_action(action, path, log)
        yield action


def _parquet_actions(path: Path, log: _Log) -> Iterator[dict[str, Any]]:
    """The checked actions of a Parquet checkpoint or sidecar."""
    _check_footer(path, log)
    try:
        with pq.ParquetFile(
            path, thrift_string_size_limit=log.limits.footer, thrift_container_size_limit=1_000_000
        ) as file:
            if file.metadata.num_rows > log.limits.actions:
                _refuse(log, path, f"has more than {log.limits.actions:,} actions")
            claimed = sum(
                file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)
            )
            if claimed > 4 * log.limits.log_size:
                _refuse(log, path, "would become too large when read")
            there = set(file.schema_arrow.names)
            columns = [column for column in CHECKPOINT_COLUMNS if column.split(".")[0] in there]
            for batch in file.iter_batches(batch_size=512, columns=columns):
                for row in batch.to_pylist():
                    plain = {name: _plain(value) for name, value in row.items()}
                    action = {name: value for name, value in plain.items() if value}
                    _check_action(action, path, log)
                    yield action
    # Whatever Arrow raises on a crafted file refuses the table; Rejected is none of these and goes through.
    except (pa.ArrowException, OSError, ValueError, KeyError, NotImplementedError, RecursionError) as error:
        _refuse(log, path, f"can't be read as Parquet: {shown(str(error))}")


def _plain(value: Any) -> Any:
    """Arrow's maps come as lists of pairs; as dicts they look like a commit's.

    Absent members are left out.
    """
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, tuple) and len(item) == 2 for item in value)
    ):
        return {key: _plain(item) for key, item in value}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _check_checksum(path: Path, log: _Log) -> None:
    checksum = _json_object(path, log)
    for action, value in (("metaData", checksum.get("metadata")), ("protocol", checksum.get("protocol"))):
        if value is not None:
            _check_action({action: value}, path, log)
    for file in _list(checksum.get("allFiles"), "allFiles", path, log):
        _check_action({"add": file}, path, log)


def _check_last_checkpoint(path: Path, log: _Log) -> None:
    hint = _json_object(path, log)
    v2 = hint.get("v2Checkpoint")
    if v2 is None:
        return
    if not isinstance(v2, dict) or not _CHECKPOINT.fullmatch(str(v2.get("path"))):
        _refuse(log, path, "names a checkpoint that is not in its log")
    for sidecar in _list(v2.get("sidecarFiles"), "sidecarFiles", path, log):
        _check_action({"sidecar": sidecar}, path, log)
    for action in _list(v2.get("nonFileActions"), "nonFileActions", path, log):
        _check_action(action, path, log)


def _json_object(path: Path, log: _Log) -> dict[str, Any]:
    value = parse_json(path.read_bytes(), log.limits.json_depth, _place(log, path))
    if not isinstance(value, dict):
        _refuse(log, path, "is no JSON object")
    return value


def _list(value: Any, name: str, path: Path, log: _Log) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _refuse(log, path, f"has no list of objects as {name}")
    return value


# Actions


def _check_action(action: dict[str, Any], path: Path, log: _Log) -> None:
    log.actions += 1
    if log.actions > log.limits.actions:
        _refuse(log, path, f"brings the log above {log.limits.actions:,} actions")
    for kind, value in action.items():
        if kind not in ACTIONS:
            _refuse(log, path, f"holds an action that Delta does not have: {shown(kind, 40)!r}")
        if not isinstance(value, dict):
            _refuse(log, path, f"holds {kind} as something else than an object")
        match kind:
            case "add" | "remove" | "cdc":
                _check_file_action(kind, value, path, log)
            case "metaData":
                _check_metadata(value, path, log)
            case "protocol":
                _check_protocol(value, path, log)
            case "sidecar":
                if not _SIDECAR.fullmatch(str(value.get("path"))):
                    _refuse(
                        log, path, f"names a sidecar outside _sidecars: {shown(str(value.get('path')))!r}"
                    )


def _check_file_action(kind: str, value: dict[str, Any], path: Path, log: _Log) -> None:
    inside = _check_path(value.get("path"), f"{kind}.path", path, log)
    if kind == "cdc":
        log.change_files.add(inside)
    vector = value.get("deletionVector")
    if vector is not None:
        name = _check_vector(vector, path, log)
        if name and kind == "add":
            log.vectors[_named_file(value)] = name


def _check_path(value: Any, what: str, path: Path, log: _Log) -> str:
    """The file's path below the table's folder.

    Readers disagree about decoding, so no reading of it may leave.
    """
    if not isinstance(value, str) or not value or len(value) > 2_000:
        _refuse(log, path, f"has no usable {what}")
    try:
        once = unquote(value, errors="strict")
        twice = unquote(once, errors="strict")
    except UnicodeDecodeError:
        _refuse(log, path, f"has a {what} that is not UTF-8: {shown(value)!r}")
    for text in (value, once):
        if text.startswith("/") or _SCHEME.match(text):
            _refuse(
                log,
                path,
                f"names a file by an absolute path ({what}, as shallow clones do): {shown(value)!r}",
            )
        if "\\" in text or not text.isprintable():
            _refuse(log, path, f"has characters in {what} that a path does not need: {shown(value)!r}")
    parts = once.split("/")
    if ".." in [part for text in (value, once, twice) for part in re.split(r"[/\\]", text)]:
        _refuse(log, path, f"names a file outside the table ({what}): {shown(value)!r}")
    if "" in parts or "." in parts or parts[0] == "_delta_log":
        _refuse(log, path, f"names no data file of the table ({what}): {shown(value)!r}")
    return once


def _check_vector(vector: Any, path: Path, log: _Log) -> str | None:
    """The file of a deletion vector, or None where it is inline.

    Kind `p` gives an absolute path and is refused.
    """
    kind = vector.get("storageType") if isinstance(vector, dict) else None
    text = vector.get("pathOrInlineDv") if isinstance(vector, dict) else None
    if kind not in ("u", "i") or not isinstance(text, str):
        _refuse(
            log,
            path,
            f"has a deletion vector of the kind {shown(str(kind), 20)!r}; only `u` and `i` stay in the table",
        )
    if kind == "i":
        if len(text) > 1 << 20:
            _refuse(log, path, "has an inline deletion vector of more than a megabyte")
        return None
    match = _UUID_VECTOR.fullmatch(text)
    if match is None or set(match[2].encode()) - set(_Z85):
        _refuse(log, path, f"has a deletion vector with no usable name: {shown(text)!r}")
    try:
        name = uuid.UUID(bytes=base64.b85decode(match[2].encode().translate(_FROM_Z85)))
    except ValueError:
        _refuse(log, path, f"has a deletion vector with no usable name: {shown(text)!r}")
    return f"{match[1]}/deletion_vector_{name}.bin" if match[1] else f"deletion_vector_{name}.bin"


def _check_metadata(value: dict[str, Any], path: Path, log: _Log) -> None:
    form = value.get("format")
    if not isinstance(form, dict) or str(form.get("provider")).lower() != "parquet" or form.get("options"):
        _refuse(log, path, "has another format than plain parquet")
    schema = value.get("schemaString")
    if not isinstance(schema, str):
        _refuse(log, path, "has no schema")
    configuration = value.get("configuration") or {}
    if not isinstance(configuration, dict):
        _refuse(log, path, "has table properties that are no object")
    for name in configuration:
        if REDIRECTING_PROPERTY.match(name):
            _refuse(log, path, f"has a table property that leads elsewhere: {shown(name, 60)!r}")
    try:
        check_schema(schema, "The schema")
        check_metadata(configuration, "A table property")
        for name, text in configuration.items():
            if name.lower().startswith("delta.constraints.") and isinstance(text, str):
                check_expression(text)
    except Rejected as refusal:
        raise Rejected(f"{_place(log, path)}: {refusal}") from None


def _check_protocol(value: dict[str, Any], path: Path, log: _Log) -> None:
    for part in ("readerFeatures", "writerFeatures"):
        features = value.get(part) or []
        if not isinstance(features, list):
            _refuse(log, path, f"has {part} that are no list")
        for feature in features:
            if not isinstance(feature, str) or feature not in FEATURES:
                name = shown(str(feature), 60)
                _refuse(log, path, f"uses a table feature that leads elsewhere or is unknown: {name!r}")


# Parts


def _check_footer(path: Path, log: _Log) -> None:
    """A Parquet file ends in its footer, the footer's length and PAR1; readers allocate by that length."""
    if not _is_file(path):
        _refuse(log, path, "is no regular file")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if size < 12 or tail[4:] != b"PAR1":
        _refuse(log, path, "is no Parquet file")
    footer = int.from_bytes(tail[:4], "little")
    if footer > log.limits.footer or footer > size - 12:
        _refuse(
            log,
            path,
            f"has a footer of {footer:,} bytes; {log.limits.footer:,} are allowed, and no more than the file",
        )


def _visible(folder: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(folder) if not entry.name.startswith("."))


def _is_file(path: Path) -> bool:
    return _mode(path, stat.S_ISREG)


def _is_folder(path: Path) -> bool:
    return _mode(path, stat.S_ISDIR)


def _mode(path: Path, test: Any) -> bool:
    try:
        return bool(test(os.lstat(path).st_mode))
    except (OSError, ValueError):
        return False


def _place(log: _Log, path: Path) -> str:
    name = path.relative_to(log.table).as_posix().removeprefix("_delta_log/")
    commit = f"commit {int(match[1])}" if (match := _COMMIT.fullmatch(name)) else shown(name)
    return f"The table {shown(log.table.name)!r}, {commit}"


def _refuse(log: _Log, path: Path, what: str) -> NoReturn:
    raise Rejected(f"{_place(log, path)}, {what}.")
