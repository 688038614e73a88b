"""Nothing hostile crosses from a sandbox to the judge, and nothing honest is stopped."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Run
from deltalake import DeltaTable, write_deltalake
from google.protobuf.any_pb2 import Any as AnyMessage
from pyspark.sql.connect import functions as F
from pyspark.sql.connect import plan as connect_plan
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.proto import base_pb2, commands_pb2, expressions_pb2, relations_pb2
from pyspark.sql.connect.window import Window

from grader.vetting import (
    Rejected,
    TableLimits,
    check_command,
    check_conf,
    check_plan,
    check_table,
    copy_regular,
    parse_json,
    read_json,
)
from labs_lib.vetting import sql

# Files


@pytest.fixture(autouse=True)
def _no_hang() -> Iterator[None]:
    """Something that is never done reading fails its test instead of holding up all others."""

    def give_up(*_: object) -> None:
        pytest.fail("still reading after five minutes")  # no Exception, so nothing under test catches it

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    (folder / "plain.json").write_text("{}")
    (folder / "inner" / "p=a%20b é").write_text("x" * 100)
    return folder


def copied(
    source: Path, tmp_path: Path, max_files: int = 100, max_bytes: int = 10_000, **options: bool
) -> Path:
    target = tmp_path / "target"
    copy_regular(source, target, max_files=max_files, max_bytes=max_bytes, **options)
    return target


def test_plain_files_are_copied_with_their_times(source: Path, tmp_path: Path) -> None:
    os.utime(source / "plain.json", (1_700_000_000, 1_700_000_000))
    (source / "plain.json").chmod(0o755)
    target = copied(source, tmp_path)
    assert sorted(p.relative_to(target).as_posix() for p in target.rglob("*")) == [
        "inner",
        "inner/p=a%20b é",
        "plain.json",
    ]
    found = (target / "plain.json").stat()
    assert (found.st_mtime, found.st_mode & 0o777) == (1_700_000_000, 0o600)


def link_to_a_file(folder: Path) -> None:
    (folder / "bad").symlink_to("/etc/passwd")


def link_to_a_folder(folder: Path) -> None:
    (folder / "bad").symlink_to("/etc")


def link_to_nothing(folder: Path) -> None:
    (folder / "bad").symlink_to("nowhere")


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "bad")


def unix_socket(folder: Path) -> None:
    here = os.getcwd()
    os.chdir(folder)  # a socket's path may only be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("bad")
    finally:
        os.chdir(here)


def set_user_id(folder: Path) -> None:
    (folder / "bad").write_text("")
    (folder / "bad").chmod(0o4755)


def hard_link_to_outside(folder: Path) -> None:
    (folder.parent / "outside").write_text("secret")
    os.link(folder.parent / "outside", folder / "bad")


def name_with_a_line_end(folder: Path) -> None:
    (folder / "bad\nname").write_text("")


def name_that_turns_text_around(folder: Path) -> None:
    (folder / "bad\u202egnp.exe").write_text("")


def name_that_is_no_text(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/bad\xff", "w"):
        pass


def name_with_a_backslash(folder: Path) -> None:
    (folder / "bad\\..\\x").write_text("")


def too_deep(folder: Path) -> None:
    (folder / "/".join(["bad"] * 40)).mkdir(parents=True)


def too_long_a_path(folder: Path) -> None:
    (folder / "/".join(["bad" * 80] * 5)).mkdir(parents=True)


def too_many_files(folder: Path) -> None:
    for number in range(120):
        (folder / f"bad{number}").write_text("")


def too_large_and_sparse(folder: Path) -> None:
    with (folder / "bad").open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    "spoil",
    [
        link_to_a_file,
        link_to_a_folder,
        link_to_nothing,
        fifo,
        unix_socket,
        set_user_id,
        hard_link_to_outside,
        name_with_a_line_end,
        name_that_turns_text_around,
        name_that_is_no_text,
        name_with_a_backslash,
        too_deep,
        too_long_a_path,
        too_many_files,
        too_large_and_sparse,
    ],
)
def test_hostile_files_are_refused_and_leave_nothing(
    source: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(source)
    with pytest.raises(Rejected) as refusal:
        copied(source, tmp_path)
    assert "bad" in str(refusal.value) or spoil is too_many_files
    assert str(refusal.value).isprintable()
    assert not (tmp_path / "target").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_refused(source: Path, tmp_path: Path) -> None:
    try:
        os.mknod(source / "bad", 0o20666, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("this container can't make devices")
    with pytest.raises(Rejected, match="bad is a device"):
        copied(source, tmp_path)


def test_the_source_itself_may_not_be_a_link(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(Rejected, match="can't be opened"):
        copied(tmp_path / "link", tmp_path)


def test_hard_links_within_the_tree_and_on_request_are_copied(source: Path, tmp_path: Path) -> None:
    os.link(source / "plain.json", source / "inner" / "twin")
    assert (copied(source, tmp_path) / "inner" / "twin").read_text() == "{}"
    hard_link_to_outside(source)
    shutil.rmtree(tmp_path / "target")
    assert (copied(source, tmp_path, hard_links=True) / "bad").read_text() == "secret"


def test_many_small_files_and_one_growing_file_stop_at_the_limit(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="above 50 bytes"):
        copied(source, tmp_path, max_bytes=50)


@pytest.mark.parametrize("spoil", [link_to_a_file, fifo])
def test_a_file_swapped_after_the_look_at_it_is_still_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    spoil(source)
    harmless = os.stat(source / "plain.json")
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path, **how: harmless if path == "bad" else look(path, **how))
    with pytest.raises(Rejected, match="bad"):
        copied(source, tmp_path)


def test_a_file_swapped_for_links_and_fifos_during_the_copy_never_leaks(source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    victim, scratch, stop = source / "victim", tmp_path / "scratch", threading.Event()
    victim.write_text("harmless")

    def swap() -> None:
        while not stop.is_set():
            for make in (
                lambda: scratch.symlink_to(secret),
                lambda: os.mkfifo(scratch),
                lambda: scratch.write_text("harmless"),
            ):
                make()
                scratch.rename(victim)

    attacker = threading.Thread(target=swap)
    attacker.start()
    outcomes: set[str] = set()
    try:
        for _ in range(300):
            try:
                outcomes.add((copied(source, tmp_path) / "victim").read_text())
                shutil.rmtree(tmp_path / "target")
            except Rejected:
                outcomes.add("refused")
    finally:
        stop.set()
        attacker.join()
    assert outcomes <= {"harmless", "", "refused"}
    assert "refused" in outcomes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested deeper"),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[1e999]", "no finite number"),
        (b"[" + b"9" * 5_000 + b"]", "5,000 digits"),
        (b"[0." + b"9" * 5_000 + b"]", "no finite number"),
        (b'{"a": 1, "a": 2}', "same name twice"),
        (b'["\xff"]', "not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'["\\ud800"]', "surrogate"),
        (b'["abc', "not valid JSON"),
        (b'["' + b'\\"' * 200_000, "not valid JSON"),
        (b"[1] [2]", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[" + b"[]," * 1_000_000 + b"[]]", "items"),
        (b"{" * 3 + b"'", "not valid JSON"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(text)
    with pytest.raises(Rejected, match=said) as refusal:
        read_json(path, max_bytes=10_000_000, max_depth=40)
    assert "evidence.json" in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_json_that_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "honest").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "honest")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_text("1" * 1_000)
    for name, said in (
        ("link", "symbolic link"),
        ("fifo", "not a regular file"),
        ("large", "larger than"),
        ("absent", "No such file"),
    ):
        with pytest.raises(Rejected, match=f"{name}.*{said}"):
            read_json(tmp_path / name, max_bytes=100, max_depth=5)
    with pytest.raises(Rejected):
        read_json(tmp_path, max_bytes=100, max_depth=5)


def test_honest_json_is_read_as_it_is(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True, '[{"\\ é 🎉'], "b": {"c": {"d": 10**300}}}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        (tmp_path / "a.json").write_text(text)
        assert read_json(tmp_path / "a.json", max_bytes=10_000, max_depth=4) == value
    assert parse_json(b"3", 0, "a number") == 3


# Delta tables


def tiny() -> pa.Table:
    return pa.table({"a": [1, 2, 3], "p": ["x y", "50%", "k/l"]})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folder = tmp_path / "sales"
    write_deltalake(folder, tiny())
    return folder


def commit(table: Path, *actions: dict[str, Any], version: int | None = None) -> None:
    log = table / "_delta_log"
    number = version if version is not None else len(list(log.glob("*.json")))
    (log / f"{number:020}.json").write_text("\n".join(json.dumps(action) for action in actions))


def add(path: str, **more: Any) -> dict[str, Any]:
    return {
        "add": {"path": path, "partitionValues": {}, "size": 1, "modificationTime": 1, "dataChange": True}
        | more
    }


def metadata(**more: Any) -> dict[str, Any]:
    schema = json.dumps({"type": "struct", "fields": []})
    form = {"provider": "parquet", "options": {}}
    return {
        "metaData": {
            "id": "1",
            "format": form,
            "schemaString": schema,
            "partitionColumns": [],
            "configuration": {},
        }
        | more
    }


def field(kind: Any = "long", **column_metadata: Any) -> str:
    return json.dumps(
        {
            "type": "struct",
            "fields": [{"name": "a", "type": kind, "nullable": True, "metadata": column_metadata}],
        }
    )


def protocol(*features: str) -> dict[str, Any]:
    return {
        "protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": [],
            "writerFeatures": list(features),
        }
    }


HOSTILE_ACTIONS: dict[str, dict[str, Any]] = {
    "absolute path": add("/etc/passwd"),
    "absolute path behind a code": add("%2Fetc/passwd"),
    "file URL": add("file:///etc/passwd"),
    "scheme behind a code": add("file%3A/etc/passwd"),
    "object store": add("s3a://bucket/x.parquet"),
    "parent folder": add("../other/x.parquet"),
    "parent folder behind a code": add("%2e%2e/other/x.parquet"),
    "parent folder behind two codes": add("%252e%252e/other/x.parquet"),
    "parent folder behind a backslash": add("a\\..\\..\\x.parquet"),
    "parent folder within": add("a/../../x.parquet"),
    "code that is no text": add("%ff%fe.parquet"),
    "nul": add("a%00.parquet"),
    "no path": {"add": {"size": 1}},
    "path that is a number": add(7),  # type: ignore[arg-type]
    "empty path": add(""),
    "the log as data": add("_delta_log/00000000000000000000.json"),
    "remove of an absolute path": {"remove": {"path": "/etc/passwd", "dataChange": True}},
    "change file outside": {"cdc": {"path": "../x.parquet", "partitionValues": {}, "size": 1}},
    "sidecar outside": {"sidecar": {"path": "../../x.parquet", "sizeInBytes": 1, "modificationTime": 1}},
    "sidecar by an absolute path": {
        "sidecar": {"path": "/x.parquet", "sizeInBytes": 1, "modificationTime": 1}
    },
    "absolute deletion vector": add(
        "x.parquet", deletionVector={"storageType": "p", "pathOrInlineDv": "/etc/passwd"}
    ),
    "deletion vector of no kind": add("x.parquet", deletionVector={"pathOrInlineDv": "/etc/passwd"}),
    "deletion vector that is a list": add("x.parquet", deletionVector=[1]),
    "deletion vector with a path": add(
        "x.parquet", deletionVector={"storageType": "u", "pathOrInlineDv": "../x/" + "0" * 20}
    ),
    "deletion vector with a bad name": add(
        "x.parquet", deletionVector={"storageType": "u", "pathOrInlineDv": "~" * 20}
    ),
    "deletion vector with a large name": add(
        "x.parquet", deletionVector={"storageType": "u", "pathOrInlineDv": "#" * 20}
    ),
    "missing data file": add("missing.parquet"),
    "catalog-managed table": protocol("catalogManaged"),
    "coordinated commits": protocol("coordinatedCommits-preview"),
    "redirect feature": protocol("redirectReaderWriter-preview"),
    "unknown feature": protocol("teleport"),
    "features that are a number": {"protocol": {"readerFeatures": 3}},
    "features that are objects": {"protocol": {"readerFeatures": [{}]}},
    "redirect property": metadata(configuration={"delta.redirectReaderWriter-preview": "{}"}),
    "coordinator property": metadata(
        configuration={"delta.coordinatedCommits.commitCoordinator-preview": "x"}
    ),
    "constraint that calls Java": metadata(configuration={"delta.constraints.c": "reflect('a', 'b') > 0"}),
    "constraint that reads a file": metadata(
        configuration={"delta.constraints.c": "a IN (SELECT 1 FROM text.`/etc/x`)"}
    ),
    "default that calls Java": metadata(schemaString=field(EXISTS_DEFAULT="reflect('a', 'b')")),
    "generated column that calls Java": metadata(
        schemaString=field(**{"delta.generationExpression": "java_method('a','b')"})
    ),
    "invariant that calls Java": metadata(
        schemaString=field(
            **{"delta.invariants": json.dumps({"expression": {"expression": "reflect('a', 'b')"}})}
        )
    ),
    "type that names a class": metadata(
        schemaString=field({"type": "udt", "class": "evil.Type", "sqlType": "long"})
    ),
    "schema that is no JSON": metadata(schemaString='{"type": "struct", "type": "udt"}'),
    "other format": metadata(format={"provider": "com.evil.Source", "options": {}}),
    "format options": metadata(format={"provider": "parquet", "options": {"path": "/etc"}}),
    "unknown action": {"redirect": {"path": "/etc"}},
    "action that is a string": {"add": "/etc/passwd"},
}


@pytest.mark.parametrize("action", HOSTILE_ACTIONS.values(), ids=HOSTILE_ACTIONS.keys())
def test_a_hostile_action_is_refused_in_a_commit(table: Path, action: dict[str, Any]) -> None:
    commit(table, action)
    with pytest.raises(Rejected) as refusal:
        check_table(table)
    said = str(refusal.value)
    assert "sales" in said
    assert "commit 1" in said or "missing.parquet" in said


def test_a_hostile_action_is_refused_wherever_a_reader_may_find_it(table: Path) -> None:
    log = table / "_delta_log"
    bad, removed = (
        {"add": {"path": "/etc/passwd", "size": 1}},
        {"remove": {"path": "/etc/passwd", "dataChange": True}},
    )
    places: dict[str, bytes] = {
        "00000000000000000001.json": json.dumps(bad).encode(),
        "00000000000000000000.00000000000000000001.compacted.json": json.dumps(bad).encode(),
        "00000000000000000000.crc": json.dumps({"allFiles": [bad["add"]]}).encode(),
        "00000000000000000000.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json": json.dumps(bad).encode(),
        "_last_checkpoint": json.dumps({"version": 0, "v2Checkpoint": {"path": "../../x.json"}}).encode(),
        "_staged_commits/00000000000000000001.x.json": b"{}",
        "_commits/00000000000000000001.x.json": b"{}",
        "surprise.json": b"{}",
    }
    for name, content in places.items():
        path = log / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(Rejected, match="sales"):
            check_table(table)
        shutil.rmtree(path.parent) if path.parent != log else path.unlink()
    for name in (
        "00000000000000000000.checkpoint.parquet",
        "00000000000000000000.checkpoint.0000000001.0000000002.parquet",
        "_sidecars/a.parquet",
    ):
        for action in (bad, removed):
            path = log / name
            path.parent.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist([action]), path)
            with pytest.raises(Rejected, match=r"absolute path.*/etc/passwd"):
                check_table(table)
            path.unlink()
    (log / "_sidecars").rmdir()
    check_table(table)


def test_a_file_that_a_checkpoint_alone_names_has_to_be_there(table: Path) -> None:
    pq.write_table(
        pa.Table.from_pylist([{"add": {"path": "gone.parquet"}}]),
        table / "_delta_log" / "00000000000000000000.checkpoint.parquet",
    )
    with pytest.raises(Rejected, match=r"gone\.parquet.*not there"):
        check_table(table)


def test_damaged_and_oversized_files_are_refused(table: Path) -> None:
    log, data = table / "_delta_log", next(table.glob("*.parquet"))
    honest = data.read_bytes()
    for content, said in (
        (b"not parquet at all", "no Parquet"),
        (honest[:-8] + struct.pack("<I", 1 << 31) + b"PAR1", "footer"),
        (b"", "no Parquet"),
    ):
        data.write_bytes(content)
        with pytest.raises(Rejected, match=said):
            check_table(table)
    data.unlink()
    data.symlink_to("/etc/passwd")
    with pytest.raises(Rejected, match="regular file"):
        check_table(table)
    data.unlink()
    os.mkfifo(data)
    with pytest.raises(Rejected, match="regular file"):
        check_table(table)
    data.unlink()
    data.write_bytes(honest)
    check_table(table)
    for limits, said in (
        (TableLimits(files=2), "more than 2 files"),
        (TableLimits(size=100), "more than 100 bytes"),
        (TableLimits(log_size=10), "bytes in its log"),
        (TableLimits(log_file_size=10), "larger than 10 bytes"),
        (TableLimits(log_files=0), "files in its log"),
        (TableLimits(actions=2), "2 actions"),
        (TableLimits(footer=10), "footer"),
        (TableLimits(json_depth=1), "nested deeper"),
    ):
        with pytest.raises(Rejected, match=said):
            check_table(table, limits=limits)
    checkpoint = log / "00000000000000000000.checkpoint.parquet"
    checkpoint.write_bytes(b"PAR1" + b"\xff" * 500 + struct.pack("<I", 400) + b"PAR1")
    with pytest.raises(Rejected, match="can't be read as Parquet"):
        check_table(table)


@pytest.mark.parametrize(
    "text", [b"[" * 10_000, b'{"add":\r{"path":"x"}}', b"[1]", b'{"add": NaN}', b"\xff\xfe"]
)
def test_a_commit_that_is_no_strict_json_is_refused(table: Path, text: bytes) -> None:
    (table / "_delta_log" / f"{1:020}.json").write_bytes(text)
    with pytest.raises(Rejected, match=r"sales.*commit 1"):
        check_table(table)


def test_a_folder_without_a_log_or_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="no Delta table"):
        check_table(tmp_path)
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(Rejected, match="no commit"):
        check_table(tmp_path)


def test_honest_tables_pass(tmp_path: Path) -> None:
    folder = tmp_path / "honest"
    write_deltalake(
        folder, tiny(), partition_by=["p"], configuration={"delta.logRetentionDuration": "interval 1 day"}
    )
    check_table(folder)
    assert any("%20" in path.name for path in folder.iterdir())
    for _ in range(3):
        write_deltalake(folder, tiny(), mode="append")
    check_table(folder)
    DeltaTable(folder).optimize.compact()
    check_table(folder)
    DeltaTable(folder).create_checkpoint()
    check_table(folder)
    DeltaTable(folder).delete("a = 1")
    DeltaTable(folder).alter.add_constraint({"positive": "a > 0 AND p <> ''"})
    check_table(folder)
    before = len(list(folder.rglob("*.parquet")))
    DeltaTable(folder).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert len(list(folder.rglob("*.parquet"))) < before
    check_table(folder)
    DeltaTable(folder).create_checkpoint()
    check_table(folder)
    (folder / "_delta_log" / "_staged_commits").mkdir()
    (folder / "_delta_log" / ".00000000000000000000.json.crc").write_bytes(b"crc\0")
    check_table(folder)


def test_a_deletion_vector_in_the_table_passes_and_has_to_be_there(table: Path) -> None:
    data = next(table.glob("*.parquet")).name
    name = bytes.fromhex("d2c639aa8816431aaaf6d3fe2512ff61")  # the protocol's own example
    vector = {
        "storageType": "u",
        "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
        "offset": 4,
        "sizeInBytes": 40,
        "cardinality": 6,
    }
    commit(table, {"remove": {"path": data, "dataChange": True}}, add(data, deletionVector=vector))
    with pytest.raises(Rejected, match=r"ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61\.bin"):
        check_table(table)
    assert name.hex() in "d2c639aa8816431aaaf6d3fe2512ff61"
    (table / "ab").mkdir()
    (table / "ab" / "deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin").write_bytes(b"\1")
    check_table(table)
    inline = {
        "storageType": "i",
        "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 40,
    }
    commit(table, {"remove": {"path": data, "deletionVector": vector}}, add(data, deletionVector=inline))
    check_table(table)


def test_a_removed_file_may_be_missing(table: Path) -> None:
    data = next(table.glob("*.parquet"))
    commit(table, {"remove": {"path": data.name, "dataChange": True}})
    data.unlink()
    check_table(table)


def test_a_log_changed_at_random_is_read_or_refused_and_nothing_else(table: Path) -> None:
    generator = random.Random(7)
    path = table / "_delta_log" / f"{0:020}.json"
    honest = [json.loads(line) for line in path.read_text().splitlines()]
    junk: list[Any] = [
        None,
        7,
        -1,
        "x",
        "/etc",
        [],
        {},
        [{}],
        [[1]],
        {"path": 1},
        True,
        1e300,
        "reflect('a')",
    ]

    def spoil(value: Any) -> Any:
        if generator.random() < 0.08:
            return generator.choice(junk)
        if isinstance(value, dict):
            return {key: spoil(item) for key, item in value.items()}
        return [spoil(item) for item in value] if isinstance(value, list) else value

    for _ in range(300):
        path.write_text("\n".join(json.dumps(spoil(action)) for action in honest))
        try:
            check_table(table)
        except Rejected as refusal:
            assert len(str(refusal)) < 600


# Plans


class FakeClient:
    """As much of a Spark Connect client as turning a DataFrame into its message needs."""

    def _set_relation_in_plan(self, plan: base_pb2.Plan, relation: relations_pb2.Relation) -> None:
        plan.root.CopyFrom(relation)


SESSION: Any = SimpleNamespace(client=FakeClient(), session_id="none")


def table_frame(name: str) -> DataFrame:
    return DataFrame(connect_plan.Read(name), SESSION)


def sql_frame(query: str) -> DataFrame:
    return DataFrame(connect_plan.SQL(query), SESSION)


def local_frame(schema: str | None = None) -> DataFrame:
    return DataFrame(connect_plan.LocalRelation(pa.table({"a": [1]}), schema), SESSION)


def serialised(frame: DataFrame) -> bytes:
    return frame._plan.to_proto(SESSION.client).SerializeToString()


def of_relation(relation: relations_pb2.Relation) -> bytes:
    return base_pb2.Plan(root=relation).SerializeToString()


def chosen(*expressions: expressions_pb2.Expression) -> bytes:
    """A plan that selects those expressions from a table."""
    relation = relations_pb2.Relation()
    relation.project.input.read.named_table.unparsed_identifier = "t"
    relation.project.expressions.extend(expressions)
    return of_relation(relation)


def sales() -> DataFrame:
    return table_frame("sales")


HONEST_FRAMES: dict[str, Callable[[], DataFrame]] = {
    "table by name": sales,
    "table of the catalog": lambda: table_frame("spark_catalog.default.sales"),
    "view with a space": lambda: table_frame("`my view`"),
    "join with broadcast hint": lambda: sales().join(F.broadcast(table_frame("db.products")), "k", "left"),
    "join on a condition": lambda: (
        sales().alias("a").join(table_frame("p").alias("b"), F.col("a.k") == F.col("b.k"))
    ),
    "aggregation": lambda: (
        sales()
        .groupBy("a", F.year("d").alias("y"))
        .agg(F.sum("b").alias("s"), F.countDistinct("c"), F.expr("percentile_approx(b, 0.5)"), F.product("b"))
        .where("s > 1 AND a IS NOT NULL")
        .orderBy(F.desc("s"), F.col("a").asc_nulls_last())
        .limit(10)
    ),
    "window": lambda: sales().withColumn(
        "r", F.row_number().over(Window.partitionBy("a").orderBy(F.col("b").desc()).rowsBetween(-1, 0))
    ),
    "repartition": lambda: (
        sales().repartition(4, "a").coalesce(1).sortWithinPartitions("b").hint("rebalance", "a")
    ),
    "expressions": lambda: sales().select(
        F.when(F.col("a") > 1, "x").otherwise("y"),
        F.explode("xs"),
        F.transform("xs", lambda x: x + 1),
        F.col("a").isNull(),
        F.col("a").between(1, 2) & ~F.col("a").isin(1, 2) | F.col("n").rlike("^x"),
        F.col("s").getField("x"),
        F.col("s").withField("y", F.lit(1)),
        F.col("m")["k"],
        F.col("a").cast("decimal(10,2)"),
        F.col("a").cast("struct<x:int,y:array<varchar(3)>>"),
        F.lit(None),
        F.input_file_name(),
        F.current_user(),
        F.call_function("system.builtin.abs", F.col("a")),
    ),
    "expression strings": lambda: sales().selectExpr(
        "a + 1 AS b", "CASE WHEN a > 1 THEN 'reflect (light)' END", "*"
    ),
    "pivot": lambda: sales().groupBy("a").pivot("b", ["x", "y"]).agg(F.sum("c")),
    "sets and gaps": lambda: (
        sales()
        .na.fill(0)
        .dropDuplicates(["a"])
        .drop("b")
        .withColumnRenamed("a", "c")
        .union(sales())
        .describe()
    ),
    "local data": lambda: local_frame(
        '{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}'
    ),
    "local data with a DDL schema": lambda: local_frame("a bigint, b decimal(10,2)"),
    "cached frame": lambda: sales().select("a").filter(F.col("a") > 1),
    "observed": lambda: DataFrame(
        connect_plan.CollectMetrics(sales()._plan, "seen", [F.count(F.lit(1)).alias("n")]), SESSION
    ),
}


@pytest.mark.parametrize("frame", HONEST_FRAMES.values(), ids=HONEST_FRAMES.keys())
def test_an_honest_frame_passes_unchanged(frame: Callable[[], DataFrame]) -> None:
    data = serialised(frame())
    assert base_pb2.Plan(root=check_plan(data)) == base_pb2.Plan.FromString(data)


def test_the_deepest_plan_that_a_client_can_send_passes() -> None:
    frame = sales()
    for number in range(45):
        frame = frame.withColumn(f"c{number}", F.lit(number))
    check_plan(serialised(frame))


HONEST_QUERIES = r"""
SELECT a, sum(b) AS s FROM t GROUP BY a HAVING sum(b) > 1 ORDER BY s DESC LIMIT 5
WITH c AS (SELECT * FROM db.t), d(x, y) AS (SELECT a, b FROM c) SELECT c.a, d.x FROM c JOIN d ON c.a = d.x
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r
WITH a AS (SELECT 1 AS x) (SELECT * FROM a)
SELECT /*+ BROADCAST(p) */ * FROM t JOIN p USING (k)
SELECT /*+ REPARTITION(4, a), MAPJOIN(p) */ * FROM t, p WHERE t.a = p.a
SELECT CASE WHEN a > 1 THEN 'x' ELSE 'these figures reflect (roughly) sales' END FROM t
SELECT k, v FROM t LATERAL VIEW OUTER explode(m) e AS k, v
SELECT t.*, row_number() OVER (PARTITION BY a ORDER BY b DESC) rn FROM spark_catalog.db.t
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v (x, y)
FROM t SELECT a WHERE b IN (SELECT b FROM u)
TABLE t
VALUES (1, 2), (3, 4)
SELECT transform(xs, x -> x + 1), aggregate(xs, 0, (acc, x) -> acc + x) FROM t
SELECT CAST(a AS DECIMAL(10, 2)), b::int, try_cast(c AS ARRAY<STRUCT<x: INT, y: DECIMAL(3,1)>>) FROM t
SELECT * FROM t PIVOT (sum(x) AS s FOR q IN ('a', 'b'))
SELECT * FROM t UNPIVOT (v FOR n IN (a, b))
SELECT a, grouping_id(a) FROM t GROUP BY GROUPING SETS ((a), (a, b), ())
SELECT extract(year FROM json.ts), trim(BOTH 'x' FROM json.s), json.a IS NOT DISTINCT FROM json.b FROM json
SELECT delta.x, json.y FROM delta JOIN json ON delta.x = json.x GROUP BY delta.x, json.y
SELECT * FROM t VERSION AS OF 3
SELECT * FROM t TIMESTAMP AS OF '2024-01-01' WHERE a > 1
SELECT * FROM t WITH ('versionAsOf' = '1')
SELECT * FROM t TABLESAMPLE (10 PERCENT)
SELECT `a/b`, `sum(x)` FROM `my view` AS `r`
SELECT * FROM range(10) |> WHERE id > 1 |> AGGREGATE count(*) AS n
SELECT 'it''s', "dq", r'\d+', 'a\'b', '--', '/* no comment' FROM t -- tail ' comment
SELECT a /* block ' */ FROM t WHERE a RLIKE '^x' ;
SELECT count(DISTINCT a) FILTER (WHERE b > 1) FROM t
SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT (SELECT * FROM c)
SELECT date_add(d, 1), timestampadd(DAY, 1, ts), dateadd(MONTH, 1, ts), INTERVAL '1' DAY FROM t
SELECT * FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = t.a) AND (a, b) IN ((1, 2))
SELECT * FROM table_changes('db.t', 0)
SELECT first(a) IGNORE NULLS, any_value(b), percentile_cont(0.5) WITHIN GROUP (ORDER BY c) FROM t
SELECT * FROM t NATURAL JOIN u LEFT ANTI JOIN w ON u.a = w.a CROSS JOIN LATERAL (SELECT t.a + 1)
SELECT * FROM t, LATERAL explode(xs)
SELECT system.builtin.abs(a), builtin.upper(b) FROM t
SELECT raw:a.b[0]::string FROM t
SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
(SELECT 1) UNION (SELECT 2)
SELECT * EXCEPT (a) FROM t
SELECT a FROM t DISTRIBUTE BY b SORT BY a
SELECT named_struct('a', 1).a, array(1,2)[0], map('k', 1)['k'], 1.5e-3, .5, 2L
SELECT * FROM t WHERE d = :day AND e = ?
""".strip().splitlines()


@pytest.mark.parametrize("query", HONEST_QUERIES)
def test_an_honest_query_passes(query: str) -> None:
    check_plan(serialised(sql_frame(query)))


HOSTILE_QUERIES = [
    *r"""
SELECT reflect('java.lang.System', 'getenv', 'HOME')
SELECT try_reflect("java.lang.System", "getenv", "HOME")
SELECT `reflect`('java.lang.System', 'getenv')
SELECT ReFlEcT ('a', 'b')
SELECT reflect/* x */('a', 'b')
SELECT system.builtin.reflect('a', 'b')
SELECT `system`.`builtin`.`java_method`('a', 'b')
SELECT spark_catalog.default.f(1)
SELECT spark_catalog.default.reflect('a', 'b')
SELECT unheard_of('x')
SELECT * FROM t WHERE a IN (SELECT b FROM (SELECT java_method('a', 'b') AS b FROM u))
SELECT /*+ BROADCAST(reflect('a', 'b')) */ 1
SELECT * FROM VALUES (1), (reflect('a', 'b')) t
SELECT transform(array(1), x -> reflect('a', 'b'))
SELECT identifier('ref' || 'lect')('a')
SELECT * FROM IDENTIFIER('text.`/etc/passwd`')
SELECT * FROM text.IDENTIFIER('/etc/passwd')
SELECT * FROM parquet.`/etc`
SELECT * FROM text.`/etc/passwd`
SELECT * FROM PARQUET.`/etc`
SELECT * FROM binaryFile.`file:/etc/passwd`
SELECT * FROM delta.`/tmp/other`
SELECT * FROM spark_catalog.delta.`/etc`
SELECT * FROM `org.apache.spark.sql.execution.datasources.text.TextFileFormat`.`/etc/passwd`
SELECT * FROM t JOIN text.passwd
SELECT * FROM t, LATERAL (SELECT * FROM text.passwd)
SELECT * FROM a limit, text.passwd
SELECT 1 FROM range(1) limit (x), text.passwd
SELECT 1 FROM range(1) select (x), text.passwd
SELECT 1 FROM order by (x), text.passwd
SELECT 1 FROM a.order by (x), text.passwd
SELECT * FROM (text.passwd)
SELECT * FROM ((text.passwd) x)
SELECT is distinct FROM text.passwd
SELECT 1 IN (TABLE text.passwd)
SELECT * FROM (TABLE a UNION FROM text.passwd SELECT *)
SELECT 1 IN ((SELECT 1) UNION FROM text.passwd SELECT *)
SELECT 1 UNION SELECT 2 FROM a, text.passwd
SELECT 1 FROM t a(x), csv.b
SELECT 'a' FROM range(1) t, delta.`/etc`
SELECT * FROM other.db.t
SELECT * FROM s3://bucket/x
SELECT * FROM t WITH ('path' = '/etc')
SELECT * FROM STREAM t
SELECT * FROM STREAM(t)
SELECT * FROM table_changes_by_path('/etc', 0)
SELECT * FROM table_changes('delta.`/etc`', 0)
SELECT * FROM table_changes('delta.x', 0)
SELECT * FROM table_changes(concat('delta.', '`/etc`'), 0)
SELECT * FROM read_files('/etc')
SELECT * FROM explode(TABLE(text.passwd))
SELECT * FROM t CROSS JOIN LATERAL python_worker_logs()
SELECT from_protobuf(a, 'M', '/etc/x') FROM t
SELECT from_avro(a, '{}', map('avroSchemaUrl', '/etc/x')) FROM t
SELECT from_xml(a, 'b int', map('rowValidationXSDPath', '/etc/passwd')) FROM t
SELECT xpath_string('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', 'a')
SELECT TRANSFORM(a) USING 'cat /etc/passwd' FROM t
SELECT TRANSFORM(a) USING r'cat' FROM t
SELECT TRANSFORM(a) USING /* x */ :program FROM t
FROM t MAP a USING 'cat' AS b
FROM t REDUCE a USING 'cat' AS b
INSERT OVERWRITE DIRECTORY '/tmp/x' SELECT 1
INSERT INTO t SELECT 1
FROM t INSERT OVERWRITE DIRECTORY '/tmp/x' SELECT *
WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a
WITH a AS (SELECT 1) UPDATE t SET a = 1
WITH a AS (SELECT 1) DELETE FROM t
WITH a AS (SELECT 1) MERGE INTO t USING (SELECT 1) ON true WHEN MATCHED THEN DELETE
CREATE FUNCTION f AS 'x' USING JAR '/x.jar'
CREATE TABLE x AS SELECT 1
CREATE TEMP VIEW v AS SELECT 1
ADD JAR '/x.jar'
SET spark.sql.shuffle.partitions = 1
CALL system.run('x')
EXECUTE IMMEDIATE 'SELECT 1'
BEGIN SELECT 1; END
DECLARE v INT DEFAULT 1
DESCRIBE t
SHOW TABLES
CACHE TABLE t
EXPLAIN SELECT 1
/* SELECT */ DROP TABLE t
SELECT 1; DROP TABLE t
SELECT 1;; SELECT 2
SELECT '${env:HOME}'
SELECT ${spark.x}
SELECT /* /* */ reflect('a') */ 1
SELECT /* open
SELECT $$ x $$
SELECT $a$ ' $a$, reflect('a', 'b') --'
SELECT r'\' , reflect('a', 'b') --'
SELECT '\' , ', reflect('a', 'b')
SELECT 'open
SELECT `open
SELECT reﬂect('a')
SELECT (1
SELECT 1)
SELECT a */ b
""".strip().splitlines(),
    "",
    ";",
    "SELECT 1 -- \\\n' , reflect('a', 'b') --'",
    "SELECT 1 -- x\rFROM text.passwd",
    "SELECT " + "(" * 5_000,
]


@pytest.mark.parametrize("query", HOSTILE_QUERIES)
def test_a_hostile_query_is_refused(query: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_plan(serialised(sql_frame(query)))
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 400


HOSTILE_EXPRESSIONS = [
    "reflect('java.lang.System', 'getenv', 'HOME')",
    "a + `Reflect`('a', 'b')",
    "a > 1 AND java_method('a', 'b') = 'x'",
    "(SELECT max(value) FROM text.`/etc/passwd`)",
    "a IN (SELECT value FROM text.passwd)",
    "EXISTS (FROM csv.`/etc` SELECT 1)",
    "identifier('reflect')('a', 'b')",
    "'${env:HOME}'",
    "1; DROP TABLE t",
    "a) FROM text.passwd --",
]


@pytest.mark.parametrize("text", HOSTILE_EXPRESSIONS)
def test_a_hostile_expression_string_is_refused_wherever_it_stands(text: str) -> None:
    for frame in (
        sales().select(F.expr(text)),
        sales().filter(text),
        sales().groupBy("a").agg(F.max(F.expr(text))),
        sales().join(table_frame("p"), F.expr(text)),
        sales().withColumn("x", F.when(F.col("a") > 1, F.array(F.struct(F.expr(text))))),
        sales().orderBy(F.expr(text).desc()),
        sales().repartition(3, F.expr(text)),
        sales().hint("x", F.expr(text)),
    ):
        with pytest.raises(Rejected):
            check_plan(serialised(frame))


def expression(**parts: Any) -> expressions_pb2.Expression:
    return expressions_pb2.Expression(**parts)


def python_udf() -> bytes:
    function = expressions_pb2.CommonInlineUserDefinedFunction(function_name="f")
    function.python_udf.command = b"\x80\x05cos\nsystem\n"
    return chosen(expression(common_inline_user_defined_function=function))


def java_udf() -> bytes:
    function = expressions_pb2.CommonInlineUserDefinedFunction(function_name="f")
    function.java_udf.class_name = "evil.Function"
    return chosen(expression(common_inline_user_defined_function=function))


def scala_udf() -> bytes:
    function = expressions_pb2.CommonInlineUserDefinedFunction(function_name="f")
    function.scalar_scala_udf.payload = b"\xac\xed\x00\x05"
    return chosen(expression(common_inline_user_defined_function=function))


def udf_deep_in_a_window_frame() -> bytes:
    inner = expressions_pb2.Expression()
    inner.common_inline_user_defined_function.python_udf.command = b"x"
    outer = expressions_pb2.Expression()
    outer.window.window_function.unresolved_function.function_name = "sum"
    outer.window.frame_spec.lower.value.CopyFrom(inner)
    return chosen(outer)


def udf_in_a_named_argument_of_sql() -> bytes:
    relation = relations_pb2.Relation()
    relation.sql.query = "SELECT :x"
    relation.sql.named_arguments["x"].common_inline_user_defined_function.python_udf.command = b"x"
    return of_relation(relation)


def scala_aggregate() -> bytes:
    inner = expressions_pb2.Expression()
    inner.typed_aggregate_expression.scalar_scala_udf.payload = b"x"
    return chosen(inner)


def map_in_pandas() -> bytes:
    relation = relations_pb2.Relation()
    relation.map_partitions.input.read.named_table.unparsed_identifier = "t"
    relation.map_partitions.func.python_udf.command = b"x"
    return of_relation(relation)


def apply_in_pandas() -> bytes:
    relation = relations_pb2.Relation()
    relation.group_map.input.read.named_table.unparsed_identifier = "t"
    relation.group_map.func.python_udf.command = b"x"
    return of_relation(relation)


def cogroup() -> bytes:
    relation = relations_pb2.Relation()
    relation.co_group_map.func.python_udf.command = b"x"
    return of_relation(relation)


def stateful_function() -> bytes:
    relation = relations_pb2.Relation()
    relation.apply_in_pandas_with_state.func.python_udf.command = b"x"
    return of_relation(relation)


def table_function_in_python() -> bytes:
    relation = relations_pb2.Relation()
    relation.common_inline_user_defined_table_function.python_udtf.command = b"x"
    return of_relation(relation)


def data_source_in_python() -> bytes:
    relation = relations_pb2.Relation()
    relation.common_inline_user_defined_data_source.python_data_source.command = b"x"
    return of_relation(relation)


def relation_extension() -> bytes:
    return of_relation(relations_pb2.Relation(extension=AnyMessage(type_url="x/y", value=b"z")))


def expression_extension() -> bytes:
    return chosen(expression(extension=AnyMessage(type_url="x/y", value=b"z")))


def read_of_a_path() -> bytes:
    relation = relations_pb2.Relation()
    relation.read.data_source.format = "text"
    relation.read.data_source.paths.append("/etc/passwd")
    return of_relation(relation)


def read_of_a_stream() -> bytes:
    relation = relations_pb2.Relation()
    relation.read.named_table.unparsed_identifier = "t"
    relation.read.is_streaming = True
    return of_relation(relation)


def read_with_a_path_option() -> bytes:
    relation = relations_pb2.Relation()
    relation.read.named_table.unparsed_identifier = "t"
    relation.read.named_table.options["path"] = "/etc"
    return of_relation(relation)


def changes_of_a_path() -> bytes:
    relation = relations_pb2.Relation()
    relation.relation_changes.unparsed_identifier = "delta.`/etc`"
    return of_relation(relation)


def catalog_call() -> bytes:
    relation = relations_pb2.Relation()
    relation.catalog.drop_temp_view.view_name = "v"
    return of_relation(relation)


def machine_learning() -> bytes:
    relation = relations_pb2.Relation()
    relation.ml_relation.transform.transformer.name = "evil"
    return of_relation(relation)


def result_kept_on_the_server() -> bytes:
    relation = relations_pb2.Relation()
    relation.cached_remote_relation.relation_id = "x"
    return of_relation(relation)


def upload_kept_on_the_server() -> bytes:
    relation = relations_pb2.Relation()
    relation.cached_local_relation.hash = "x"
    return of_relation(relation)


def function_of_the_user() -> bytes:
    inner = expressions_pb2.Expression()
    inner.unresolved_function.function_name = "abs"
    inner.unresolved_function.is_user_defined_function = True
    return chosen(inner)


def internal_function() -> bytes:
    inner = expressions_pb2.Expression()
    inner.unresolved_function.function_name = "unwrap_udt"
    inner.unresolved_function.is_internal = True
    return chosen(inner)


def table_function_that_reads() -> bytes:
    relation = relations_pb2.Relation()
    relation.unresolved_table_valued_function.function_name = "table_changes_by_path"
    return of_relation(relation)


def cast_to_a_class() -> bytes:
    inner = expressions_pb2.Expression()
    inner.cast.expr.literal.integer = 1
    inner.cast.type.array.element_type.udt.jvm_class = "evil.Type"
    return chosen(inner)


def literal_of_a_class() -> bytes:
    inner = expressions_pb2.Expression()
    inner.literal.null.udt.jvm_class = "evil.Type"
    return chosen(inner)


def metadata_with_a_default() -> bytes:
    inner = expressions_pb2.Expression()
    inner.alias.expr.literal.integer = 1
    inner.alias.metadata = json.dumps({"EXISTS_DEFAULT": "reflect('a', 'b')"})
    return chosen(inner)


def empty_expression() -> bytes:
    return chosen(expressions_pb2.Expression())


def substitution_in_a_column_name() -> bytes:
    inner = expressions_pb2.Expression()
    inner.unresolved_attribute.unparsed_identifier = "${env:HOME}"
    return chosen(inner)


def subquery_reference_with_a_path() -> bytes:
    relation = relations_pb2.Relation()
    relation.with_relations.root.sql.query = "SELECT 1"
    relation.with_relations.references.add().read.data_source.format = "text"
    return of_relation(relation)


def field_of_a_later_spark() -> bytes:
    return serialised(sales()) + b"\xaa\x3e\x03abc"  # field 997, which Plan does not have


def command_in_place_of_a_relation() -> bytes:
    plan = base_pb2.Plan()
    plan.command.sql_command.input.sql.query = "SELECT 1"
    return plan.SerializeToString()


def compressed_plan() -> bytes:
    plan = base_pb2.Plan()
    plan.compressed_operation.data = b"x"
    return plan.SerializeToString()


def endless_nesting() -> bytes:
    data = relations_pb2.Relation().SerializeToString()
    for _ in range(3_000):
        data = nested(7, nested(1, data))  # Relation.limit.input
    return nested(1, data)


def nested(number: int, data: bytes) -> bytes:
    """A protobuf field with a message in it."""
    length, size = len(data), b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + data


def too_many_messages() -> bytes:
    return chosen(*[expression(literal=expressions_pb2.Expression.Literal(integer=1))] * 60_000)


def too_many_bytes() -> bytes:
    return chosen(expression(literal=expressions_pb2.Expression.Literal(string="x" * (9 << 20))))


def no_plan_at_all() -> bytes:
    return b"\x80\x05cos\nsystem\n"


def empty_plan() -> bytes:
    return b""


def local_data_that_is_no_arrow() -> bytes:
    relation = relations_pb2.Relation()
    relation.local_relation.data = b"\x80\x05cos\nsystem\n"
    return of_relation(relation)


def local_schema_with_a_class() -> bytes:
    return serialised(local_frame(field({"type": "udt", "class": "evil.Type", "sqlType": "long"})))


def local_schema_with_a_hidden_class() -> bytes:
    return serialised(
        local_frame(field({"type": "udt", "class": "evil.Type"}).replace('"udt"', '"\\u0075dt"'))
    )


def local_schema_with_two_meanings() -> bytes:
    return serialised(local_frame('{"type": "struct", "fields": [], "type": "udt"}'))


@pytest.mark.parametrize(
    "attack",
    [
        python_udf,
        java_udf,
        scala_udf,
        udf_deep_in_a_window_frame,
        udf_in_a_named_argument_of_sql,
        scala_aggregate,
        map_in_pandas,
        apply_in_pandas,
        cogroup,
        stateful_function,
        table_function_in_python,
        data_source_in_python,
        relation_extension,
        expression_extension,
        read_of_a_path,
        read_of_a_stream,
        read_with_a_path_option,
        changes_of_a_path,
        catalog_call,
        machine_learning,
        result_kept_on_the_server,
        upload_kept_on_the_server,
        function_of_the_user,
        internal_function,
        table_function_that_reads,
        cast_to_a_class,
        literal_of_a_class,
        metadata_with_a_default,
        empty_expression,
        substitution_in_a_column_name,
        subquery_reference_with_a_path,
        field_of_a_later_spark,
        command_in_place_of_a_relation,
        compressed_plan,
        endless_nesting,
        too_many_messages,
        too_many_bytes,
        no_plan_at_all,
        empty_plan,
        local_data_that_is_no_arrow,
        local_schema_with_a_class,
        local_schema_with_a_hidden_class,
        local_schema_with_two_meanings,
    ],
)
def test_a_hostile_plan_is_refused(attack: Callable[[], bytes]) -> None:
    data = attack()
    with pytest.raises(Rejected) as refusal:
        check_plan(data)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "name",
    [
        "text.`/etc/passwd`",
        "delta.`/etc`",
        "parquet.x",
        "a.b.c",
        "spark_catalog.delta.`/x`",
        "a b",
        "`/etc`",
        "",
        "a.b.c.d",
        "`org.apache.spark.sql.parquet`.`/etc`",
        "identifier('t')",
        "${env:HOME}",
        "`a\n`",
    ],
)
def test_a_table_by_a_path_or_in_another_catalog_is_refused(name: str) -> None:
    with pytest.raises(Rejected):
        check_plan(serialised(table_frame(name)))


@pytest.mark.parametrize(
    "name",
    [
        "reflect",
        "REFLECT",
        "`reflect`",
        "system.builtin.reflect",
        "spark_catalog.default.f",
        "f(",
        "java_method",
    ],
)
def test_a_function_that_leaves_the_query_is_refused_by_name(name: str) -> None:
    for frame in (
        sales().select(F.call_function(name, F.lit("a"))),
        sales().select(F.call_udf(name, F.lit("a"))),
    ):
        with pytest.raises(Rejected):
            check_plan(serialised(frame))


def test_a_plan_changed_at_random_is_read_or_refused_and_nothing_else() -> None:
    generator = random.Random(11)
    seeds = [serialised(frame()) for frame in HONEST_FRAMES.values()] + [python_udf(), map_in_pandas()]
    for _ in range(3_000):
        data = bytearray(generator.choice(seeds))
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            check_plan(bytes(data))
        except Rejected:
            continue


def test_sql_made_at_random_is_read_or_refused() -> None:
    generator = random.Random(13)
    words = " ".join([*HONEST_QUERIES, *HOSTILE_QUERIES[:-1]]).split()
    for _ in range(1_500):
        with contextlib.suppress(Rejected):
            sql.check_query("SELECT " + " ".join(generator.choices(words, k=generator.randint(1, 25))))


def test_a_java_call_is_refused_at_any_place_of_any_query() -> None:
    generator = random.Random(17)
    words = [word for word in " ".join(HONEST_QUERIES).split() if not re.search(r"['\"`]|--|/\*|\*/", word)]
    for _ in range(1_500):
        query = generator.choices(words, k=generator.randint(1, 25))
        query.insert(generator.randint(0, len(query)), "reflect (1)")
        with pytest.raises(Rejected):
            sql.check_query("SELECT " + " ".join(query))


# Commands and settings


def sql_command(query: str) -> bytes:
    command = commands_pb2.Command()
    command.sql_command.input.sql.query = query
    return command.SerializeToString()


def view_command(name: str = "v", is_global: bool = False, frame: DataFrame | None = None) -> bytes:
    command = commands_pb2.Command()
    view = command.create_dataframe_view
    view.name, view.is_global, view.replace = name, is_global, True
    view.input.CopyFrom((frame or sales())._plan.to_proto(SESSION.client).root)
    return command.SerializeToString()


@pytest.mark.parametrize(
    "query",
    [
        "CREATE OR REPLACE TEMP VIEW v AS SELECT * FROM t",
        "create temporary view v as with a as (select 1) select * from a",
        "CREATE TEMP VIEW IF NOT EXISTS v (a COMMENT 'x', b) COMMENT 'y' AS VALUES (1, 2);",
        "CREATE TEMP VIEW v\n-- why\nAS FROM t SELECT a",
    ],
)
def test_a_temporary_view_in_sql_is_replayed(query: str) -> None:
    assert check_command(sql_command(query)).sql_command.input.sql.query == query


def test_a_view_command_of_the_python_client_is_replayed() -> None:
    command = connect_plan.SQL("CREATE TEMP VIEW v AS SELECT 1").command(SESSION.client)
    assert check_command(command.SerializeToString()) == command
    view = connect_plan.CreateView(sales()._plan, "v", is_global=False, replace=True).command(SESSION.client)
    assert check_command(view.SerializeToString()) == view


def test_a_temporary_view_of_a_frame_is_replayed() -> None:
    assert check_command(view_command()).create_dataframe_view.name == "v"


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TEMP VIEW v USING text OPTIONS (path '/etc/passwd')",
        "CREATE TEMP VIEW v (a STRING) USING text OPTIONS (path '/etc/passwd')",
        "CREATE TEMP VIEW v AS SELECT * FROM text.`/etc/passwd`",
        "CREATE TEMP VIEW v AS SELECT reflect('a', 'b')",
        "CREATE TEMP VIEW v AS INSERT INTO t SELECT 1",
        "CREATE TEMP VIEW db.v AS SELECT 1",
        "CREATE TEMP VIEW v",
        "CREATE TEMP VIEW",
        "CREATE TEMP FUNCTION f AS 'x'",
        "CREATE TEMP TABLE v USING parquet AS SELECT 1",
        "CREATE TEMP VIEW v AS SELECT 1; DROP TABLE t",
        "CREATE /* /* */ TEMP */ VIEW v AS SELECT 1",
        "CREATE",
        "SELECT 1",
        "DROP TABLE t",
        "",
    ],
)
def test_any_other_sql_command_is_refused(query: str) -> None:
    with pytest.raises(Rejected):
        check_command(sql_command(query))


def test_other_commands_are_refused() -> None:
    write = commands_pb2.Command()
    write.write_operation.path = "/tmp/x"
    register = commands_pb2.Command()
    register.register_function.python_udf.command = b"x"
    old_form = commands_pb2.Command()
    old_form.sql_command.sql = "DROP TABLE t"
    both_forms = commands_pb2.Command.FromString(sql_command("CREATE TEMP VIEW v AS SELECT 1"))
    both_forms.sql_command.sql = "DROP TABLE t"
    argument = commands_pb2.Command.FromString(sql_command("CREATE TEMP VIEW v AS SELECT :x"))
    argument.sql_command.input.sql.named_arguments[
        "x"
    ].common_inline_user_defined_function.python_udf.command = b"x"
    hidden = commands_pb2.Command()
    hidden.sql_command.input.with_relations.root.sql.query = "CREATE TEMP VIEW v AS SELECT * FROM x"
    hidden.sql_command.input.with_relations.references.add().read.data_source.format = "text"
    external = commands_pb2.Command()
    external.execute_external_command.runner = "evil"
    for data in (
        *(
            message.SerializeToString()
            for message in (write, register, old_form, both_forms, argument, hidden, external)
        ),
        view_command(name="a.b"),
        view_command(name="a b", is_global=True),
        view_command(name="x AS SELECT"),
        view_command(frame=sql_frame("SELECT reflect('a', 'b')")),
        b"",
    ):
        with pytest.raises(Rejected):
            check_command(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.sql.shuffle.partitions", "8"),
        ("spark.sql.autoBroadcastJoinThreshold", "-1"),
        ("spark.sql.autoBroadcastJoinThreshold", "10MB"),
        ("spark.sql.adaptive.enabled", "false"),
        ("spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes", "256m"),
        ("spark.sql.adaptive.skewJoin.skewedPartitionFactor", "2.5"),
        ("spark.sql.files.maxPartitionBytes", "134217728b"),
        ("spark.sql.session.timeZone", "Europe/Berlin"),
        ("spark.sql.session.timeZone", "+02:00"),
        ("spark.sql.sources.partitionOverwriteMode", "dynamic"),
        ("spark.sql.cbo.joinReorder.enabled", "true"),
        ("spark.sql.optimizer.dynamicPartitionPruning.enabled", "false"),
        ("spark.sql.join.preferSortMergeJoin", "true"),
        ("spark.databricks.delta.optimizeWrite.enabled", "true"),
        ("spark.databricks.delta.autoCompact.enabled", "auto"),
        ("spark.sql.ansi.enabled", "false"),
    ],
)
def test_settings_of_the_plan_are_taken_over(name: str, value: str) -> None:
    check_conf(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.sql.adaptive.customCostEvaluatorClass", "evil.Evaluator"),
        ("spark.sql.adaptive.optimizer.excludedRules", "org.apache.x"),
        ("spark.sql.runSQLOnFiles", "true"),
        ("spark.sql.variable.substitute", "true"),
        ("spark.sql.extensions", "evil.Extension"),
        ("spark.sql.catalog.spark_catalog", "evil.Catalog"),
        ("spark.sql.warehouse.dir", "/tmp"),
        ("spark.sql.parser.escapedStringLiterals", "true"),
        ("spark.sql.ansi.doubleQuotedIdentifiers", "true"),
        ("spark.sql.shuffle.partitions", "1000000"),
        ("spark.sql.shuffle.partitions", "0"),
        ("spark.sql.session.timeZone", "UTC'; DROP"),
        ("spark.sql.session.timeZone", "../../etc/x"),
        ("spark.sql.files.maxPartitionBytes", "${env:HOME}"),
        ("spark.sql.adaptive.enabled", "true\n"),
        ("spark.sql.adaptive.enabled\n", "true"),
        ("spark.executor.memory", "1g"),
        ("", ""),
    ],
)
def test_other_settings_and_values_are_refused(name: str, value: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_conf(name, value)
    assert str(refusal.value).isprintable()


# With the engine

ENGINE = """
import base64, json, logging
logging.disable(logging.CRITICAL)
import pandas as pd
from pyspark.sql.connect import functions as F
from grader.vetting import TRUSTED_SERVER_CONF, check_plan, check_table
from labs_lib.vetting.sql import FUNCTIONS, OPERATORS, REFUSED_FUNCTIONS
from labs_lib.engine import session
from pathlib import Path
import sys

folder = Path(sys.argv[1])
spark = session.connection().spark
listed = {row[0] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
spark.sql(f"CREATE TABLE st USING delta LOCATION '{folder / 'st'}' CLUSTER BY (a) TBLPROPERTIES ("
    "'delta.enableDeletionVectors' = 'true', 'delta.checkpointPolicy' = 'v2', "
    "'delta.checkpointInterval' = '2') AS SELECT id AS a, id % 3 AS b, 'x' AS c FROM range(100)")
spark.sql("DELETE FROM st WHERE a = 5")
check_table(folder / "st")
spark.sql("UPDATE st SET c = 'y' WHERE a = 7")
spark.sql("ALTER TABLE st ADD CONSTRAINT ck CHECK (a >= 0)")
check_table(folder / "st")
frames = [
    spark.createDataFrame(pd.DataFrame({"a": [1, 2], "b": ["x", None]})),
    spark.createDataFrame([(1, "x", None)], "a int, b string, c struct<x:int>"),
    spark.sql("DESCRIBE HISTORY st"),
    spark.sql("SELECT * FROM {d} JOIN st USING (a)", d=spark.table("st").cache()),
    spark.table("st").where(F.col("a") > spark.table("st").select(F.avg("a")).scalar()),
    spark.table("st").groupBy("b").pivot("c").count(),
    spark.read.option("versionAsOf", 1).table("st"),
]
refused = []
for frame in frames:
    check_plan(frame._plan.to_proto(spark.client).SerializeToString())
for frame in (
    spark.table("st").select(F.udf(lambda x: x, "int")("a")),
    spark.table("st").mapInPandas(lambda rows: rows, "a bigint"),
    spark.read.text("/etc/hostname"),
):
    try:
        check_plan(frame._plan.to_proto(spark.client).SerializeToString())
    except Exception as error:
        refused.append(type(error).__name__)
for name, value in TRUSTED_SERVER_CONF.items():
    spark.conf.set(name, value)
closed = []
for query in (
    "SELECT * FROM text.`/etc/hostname`",
    "SELECT * FROM delta.`/etc`",
    "SELECT '${env:HOME}' AS x",
):
    try:
        closed.append([str(value) for value in spark.sql(query).first()])
    except Exception as error:
        closed.append(type(error).__name__)
print(json.dumps({
    "unlisted": sorted(listed - FUNCTIONS - OPERATORS - set(REFUSED_FUNCTIONS)),
    "gone": sorted(FUNCTIONS - listed),
    "refused": refused,
    "closed": closed,
}))
"""


def test_the_engine_agrees(run_python: Run, tmp_path: Path) -> None:
    """Lists match this Spark's functions, its tables and plans pass, its settings close the doors again."""
    (tmp_path / "tables").mkdir()
    done = run_python(f"import sys; sys.argv = ['x', {str(tmp_path / 'tables')!r}]\n{ENGINE}", timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "unlisted": [],
        "gone": [],
        "refused": ["Rejected"] * 3,
        "closed": ["AnalysisException", "AnalysisException", ["${env:HOME}"]],
    }
