"""Whatever a box leaves can be removed: depth, length, modes, names, numbers. Nothing here needs a sandbox or Spark."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.vetting.removal import remove_tree, temporary_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, as disks take milliseconds for each folder that goes; never left to pytest's own rmtree."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="labs-test-", dir=memory if memory.is_dir() else tmp_path))
    yield path
    assert remove_tree(path) == []


def nested(place: Path, name: str, levels: int) -> None:
    """Folders inside each other, made step by step, as no path is long enough."""
    folder = os.open(place, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder), "w") as file:
        file.write("at the bottom")
    os.close(folder)


def deep(place: Path) -> None:
    nested(place, "d", 1_500)


def very_deep(place: Path) -> None:
    nested(place, "d", 3_000)


def longer_than_a_path(place: Path) -> None:
    nested(place, "d" * 255, 40)


def closed_folders(place: Path) -> None:
    for number in range(5):
        (place / f"{number}/inner/most").mkdir(parents=True)
        (place / f"{number}/inner/most/file").touch(mode=0o000)
        (place / f"{number}/inner/most").chmod(0o000)
        (place / f"{number}/inner").chmod(0o500)
        (place / f"{number}").chmod(0o111 * number)


def names_of_bytes(place: Path) -> None:
    for name in (b"\xff\xfe", b"\n", b"-rf", b"\x1b[31m", b" ", b"a\\b"):
        os.makedirs(os.path.join(os.fsencode(place), name, name))
        with open(os.path.join(os.fsencode(place), name, b"\x80"), "w"):
            pass


def links_fifos_and_sockets(place: Path) -> None:
    (place / "up").symlink_to("..")
    (place / "self").symlink_to("self")
    (place / "to-a-folder").symlink_to(ROOT / "tests", target_is_directory=True)
    os.mkfifo(place / "fifo")
    (place / "a").write_text("one file")
    os.link(place / "a", place / "b")


def many(place: Path) -> None:
    for number in range(3_000):
        (place / f"{number}").touch()
    for number in range(300):
        (place / f"f{number}" / "g").mkdir(parents=True)


SHAPES = [
    *(deep, very_deep, longer_than_a_path, closed_folders, names_of_bytes, links_fifos_and_sockets, many),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_nothing_is_left_and_nothing_raised(shape: Callable[[Path], None], tmp_path: Path) -> None:
    place = tmp_path / "left"
    place.mkdir()
    (tmp_path / "beside").touch()
    shape(place)
    assert remove_tree(place) == []
    assert os.listdir(tmp_path) == ["beside"] and (ROOT / "tests" / "vetting").is_dir()


@pytest.mark.skipif(
    os.geteuid() != 0, reason="root is not stopped by modes; other callers run all of the above"
)
def test_an_ordinary_user_removes_what_is_closed_and_deep(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.chdir(tmp_path)
        os.setgroups([])
        os.setresgid(12345, 12345, 12345)
        os.setresuid(12345, 12345, 12345)
        place = Path("left")
        place.mkdir()
        closed_folders(place)
        deep(place)
        os.write(write, "\n".join(remove_tree(place)).encode() or b"nothing left")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as said:
        assert said.read() == b"nothing left"
    assert os.listdir(tmp_path) == []


def test_it_takes_little_memory_and_few_descriptors(tmp_path: Path) -> None:
    place = tmp_path / "left"
    place.mkdir()
    many(place)
    very_deep(place)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, limits[1]))
    tracemalloc.start()
    try:
        assert remove_tree(place) == []
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_is_absent_a_file_or_a_link_goes_too(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file").touch()
    for name in ("link", "file", "absent"):
        assert remove_tree(tmp_path / name) == []
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["kept"]


def test_what_cannot_be_removed_is_named_and_the_rest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"left/{number}/inner").mkdir(parents=True)
        (tmp_path / f"left/{number}/inner/file").touch()
    (tmp_path / "left/1/inner/held").touch()
    unlink = os.unlink

    def refusing(name: str, **options: int) -> None:
        if name == "held":
            raise PermissionError(1, "Operation not permitted")
        unlink(name, **options)

    monkeypatch.setattr(os, "unlink", refusing)
    assert remove_tree(tmp_path / "left") == [
        f"{tmp_path / 'left'} can't be removed: held: Operation not permitted."
    ]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["held"]
    monkeypatch.undo()


def test_a_temporary_folder_ends_no_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = """
import os, sys
from grader.vetting import removal
with removal.temporary_folder("labs-test-") as folder:
    print(folder)
    if sys.argv[1] == "stuck":
        removal.os.rmdir = lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted"))
    else:
        os.chdir(folder)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
"""
    for kind in ("deep", "stuck"):
        command = [sys.executable, "-c", code, kind]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env={"TMPDIR": str(tmp_path)}
        )
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).exists() == (kind == "stuck")
        assert ("can't be removed" in done.stderr) == (kind == "stuck")
    with temporary_folder("labs-test-") as folder:
        pass
    assert not folder.exists() and capfd.readouterr().err == ""
