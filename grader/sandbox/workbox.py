"""The box that a notebook or a judge works in: a folder with a LABS_HOME of its own, and how it is run.

Jars, class archive and the seed's tables are the caller's, shown read-only; the server's folder, the workspace and
whatever else is written belong to the box. Rules: DESIGN.md, section 6.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

import datasets
import labs_lib
from grader.sandbox import cgroup, runner
from grader.sandbox.runner import LOOK_EVERY, TAIL, Ended, Limits, Use
from grader.vetting.removal import remove_or_say, temporary_folder
from labs_lib import settings
from labs_lib.engine import jars, java, training
from labs_lib.errors import LabsError
from labs_lib.lab import usual_scale

PACKAGES = Path(labs_lib.__file__).resolve().parent.parent
PREFIX = "labs-box-"  # of a box's folder, before the process id
WITHOUT_SANDBOX = "LABS_NO_SANDBOX"  # the environment's form of --no-sandbox


@dataclass(frozen=True)
class Workbox:
    """A box on disk. `at` is where a program in it finds it: the same folder if there is no sandbox.

    What is put into `inbox` while a program runs, it can read there and not change.
    """

    path: Path
    at: Path
    inbox: Path
    readonly: tuple[Path, ...]
    environment: Mapping[str, str]

    @property
    def sandboxed(self) -> bool:
        return self.at != self.path

    @property
    def workspace(self) -> Path:
        return self.path / "workspace"

    def run(
        self,
        command: Sequence[str],
        limits: Limits,
        environment: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        on_look: Callable[[Use], object] | None = None,
        channel: int | None = None,
    ) -> Ended:
        """Run a command in the box, until `stop` is set at most, and return how it ended; nothing of it is alive then.

        In a sandbox, `on_look` is told a few times a second what it uses, and `channel` is a descriptor that the command has.

        Raises LabsError.
        """
        everything = {**self.environment, **(environment or {})}
        if not self.sandboxed:
            return _run_unprotected(command, self.path, everything, limits, stop or threading.Event())
        return runner.run(
            command,
            self.path,
            readonly=self.readonly,
            environment=everything,
            limits=limits,
            at=self.at,
            stop=stop,
            on_look=on_look,
            channel=channel,
        )


def sandbox_is_wanted() -> bool:
    """Whether to use a sandbox: yes, unless LABS_NO_SANDBOX is 1. Raises LabsError if one is wanted and can't be had."""
    if os.environ.get(WITHOUT_SANDBOX) == "1":
        print(
            f"WARNING: {WITHOUT_SANDBOX}=1: submissions run WITHOUT a sandbox, with all your rights on this machine.",
            file=sys.stderr,
        )
        return False
    try:
        runner.available()
    except LabsError as error:
        raise LabsError(f"{error} (nbgrader takes no such flag: set {WITHOUT_SANDBOX}=1 instead.)") from None
    return True


def prepare(seed: int, names: Sequence[str]) -> list[Path]:
    """Make what boxes only read: jars, and the named course tables and feeds under `seed`. Return the folders of these.

    Raises LabsError if the jars can't be had or a table has no such seed.
    """
    _remove_abandoned()
    found = java.find()
    jars.resolve(found)
    training.create(found)
    cache = settings.home() / "data"
    try:
        return [
            datasets.arrived(name, seed, cache)
            if name in datasets.FEEDS
            else datasets.materialise(name, seed, usual_scale(datasets.TABLES[name]), "delta", cache)
            for name in names
        ]
    except ValueError as error:
        raise LabsError(str(error)) from None


@contextlib.contextmanager
def workbox(
    data: Sequence[Path], programs: Sequence[Path], protected: bool, with_truths: bool = False
) -> Iterator[Workbox]:
    """A new box that shows the tables and feeds in `data` and the files in `programs`, and is removed afterwards.

    `with_truths` is for the judge's: a learner's box sees what arrives, never what must come of it (DESIGN.md, section 6).
    """
    with temporary_folder(f"{PREFIX}{os.getpid()}-") as folder:
        path, inbox = folder / "box", folder / "inbox"
        path.mkdir()
        inbox.mkdir()
        inbox.chmod(0o755)
        at = runner.BOX if protected else path
        found = java.find()
        home = path / "home"
        (home / "data").mkdir(parents=True)
        shared = [
            jars.folder().resolve(),
            *((settings.home() / "cds").resolve(),) * (settings.home() / "cds").is_dir(),
        ]
        for each in shared:
            (home / each.name).symlink_to(each)
        for each in data:
            (home / "data" / each.name).symlink_to(each.resolve())
        _copy_font_list(path)
        yield Workbox(
            path,
            at,
            inbox,
            tuple(
                [
                    *shared,
                    inbox,
                    *(folder.resolve() for folder in data),
                    *_packages(with_truths),
                    *programs,
                    *_java_folder(found),
                ]
            ),
            {
                "LABS_HOME": str(at / "home"),
                "LABS_WORKSPACE": str(at / "workspace"),
                "LABS_HEAP": settings.heap(),
                "LABS_SCALE": f"{settings.scale():g}",
                "PATH": f"{sys.prefix}/bin:{found.executable.parent}:/usr/local/bin:/usr/bin:/bin",
                # The packages that the grader itself runs, which need not be those that are installed.
                **({"PYTHONPATH": str(PACKAGES)} if str(PACKAGES) != sysconfig.get_path("purelib") else {}),
                "JUPYTER_PREFER_ENV_PATH": "1",
                "MPLCONFIGDIR": str(at / "matplotlib"),
                "JAVA_HOME": str(_root_of(found)),
            },
        )


def _packages(with_truths: bool) -> Iterator[Path]:
    """The course's own packages as a box shows them; without the checks of each room and what makes the feeds unless `with_truths`.

    The folder of expected digests is in no box.
    """
    for entry in (PACKAGES / "labs_lib").iterdir():
        room = (entry / "checks").is_dir() and not with_truths
        yield from (each for each in entry.iterdir() if each.name != "checks") if room else (entry,)
    yield from (file for file in (PACKAGES / "datasets").iterdir() if file.is_file())
    if with_truths:
        yield PACKAGES / "datasets" / "feeds"


def _remove_abandoned() -> None:
    """Remove the boxes of processes that were killed before they could."""
    cgroup.remove_abandoned()
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = path.name.removeprefix(PREFIX).split("-")[0]
        with contextlib.suppress(OSError):  # another batch removes it at this moment
            if owner.isdecimal() and not psutil.pid_exists(int(owner)) and path.stat().st_uid == os.geteuid():
                remove_or_say(path)


def _root_of(found: java.Java) -> Path:
    """What JAVA_HOME names for a Java."""
    return found.executable.resolve().parent.parent


def _java_folder(found: java.Java) -> list[Path]:
    """The folder of a Java that stands where the sandbox shows nothing by itself."""
    root = _root_of(found)
    shown = (Path("/usr"), Path(sys.prefix), Path(sys.base_prefix))
    return [] if any(root.is_relative_to(folder) for folder in shown) else [root]


def _copy_font_list(box: Path) -> None:
    """Spare every kernel the search for fonts, which takes matplotlib seconds."""
    import matplotlib

    (box / "matplotlib").mkdir()
    for file in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        shutil.copyfile(file, box / "matplotlib" / file.name)


def _run_unprotected(
    command: Sequence[str], box: Path, environment: Mapping[str, str], limits: Limits, stop: threading.Event
) -> Ended:
    """The same without a sandbox: only the wall time is watched, and the command's own process group is ended."""
    began = time.monotonic()
    returncode: int | None = None
    clean = {"HOME": str(box), "LANG": "C.UTF-8", **environment}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=box,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            while returncode is None and not stop.is_set() and time.monotonic() - began < limits.wall:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    returncode = process.wait(LOOK_EVERY)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            stop_server = [sys.executable, "-m", "labs_lib.cli", "stop"]
            subprocess.run(stop_server, env={**clean}, capture_output=True, timeout=60, check=False)
        output.seek(max(0, output.seek(0, os.SEEK_END) - TAIL))
        tail = output.read().decode(errors="replace")
    seconds = time.monotonic() - began
    if stop.is_set():
        return Ended(None, "stopped", "It was stopped by the grader.", seconds, tail)
    if returncode is None:
        return Ended(
            None, "wall time", f"It ran for more than {limits.wall:g} s and was stopped.", seconds, tail
        )
    return Ended(returncode, "ended", f"It ended with code {returncode}.", seconds, tail)
