"""What code in the sandbox can reach, how much it can use, and that nothing of it is left.

Each test runs real code in a real sandbox. Code that would do harm if the sandbox failed holds itself back:
bombs and floods stop by themselves at a size that a machine bears.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import deltalake
import pytest

from grader.sandbox import process, runner, tree, watch
from grader.sandbox.runner import Ended, Limits
from labs_lib.errors import LabsError

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

ROOT = Path(__file__).parents[2]
MIB = 2**20
LIMITS = Limits(memory=1024 * MIB, processes=200, file_size=50 * MIB, disk=200 * MIB, files=2000, wall=60)
DEADLINE = 60  # seconds after which something that should have happened by itself has not

# Prints what became of each attempt, so that a test can tell "refused" from "never tried".
ATTEMPT = """
import ctypes, os, signal, socket, sys, time
from pathlib import Path

def attempt(name, action):
    try:
        action()
        print(name, "DONE")
    except OSError as error:
        print(name, error.strerror)

libc = ctypes.CDLL(None, use_errno=True)

def call(function, *arguments):
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    path = tmp_path / "box"
    path.mkdir()
    return path


Inside = Callable[..., Ended]


@pytest.fixture
def inside(box: Path) -> Inside:
    """Run a piece of Python in a sandbox on `box`; keywords change a limit or go to `run`."""

    def run(
        code: str, *, limits: Limits = LIMITS, readonly: list[Path] | None = None, **options: object
    ) -> Ended:
        environment = options.pop("environment", {})
        return runner.run(
            [sys.executable, "-c", ATTEMPT + code],
            box,
            readonly=readonly or [],
            environment=environment,  # type: ignore[arg-type]
            limits=limits,
            **options,  # type: ignore[arg-type]
        )

    return run


def outcomes(ended: Ended) -> dict[str, str]:
    """What ATTEMPT printed: {name: DONE or the reason of the refusal}."""
    assert ended.returncode == 0, ended.output
    return dict(line.split(" ", 1) for line in ended.output.splitlines())  # type: ignore[misc]


def living_in(namespace: str) -> list[int]:
    """Processes of the host that are in a process namespace, such as `pid:[4026532177]`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.readlink(entry / "ns" / "pid") == namespace:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_for(condition: Callable[[], object]) -> None:
    """Return when `condition` holds; fail the test if it does not in time."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


# What can be seen


def test_it_is_available_here() -> None:
    runner.available()


def test_files_outside_cannot_be_read(inside: Inside, tmp_path: Path, box: Path) -> None:
    secret = tmp_path / "gradebook.db"
    secret.write_text("top marks")
    (box / "link").symlink_to(secret)
    code = f"""
paths = dict(direct={str(secret)!r}, link="link", up="../gradebook.db", first="/proc/1/root{secret}",
             own="/proc/self/root{secret}", shadow="/etc/shadow", host="/etc/hostname")
for name, path in paths.items():
    attempt(name, open(path).read if os.path.exists(path) else lambda: open(path))
skip = {{"/proc", "/usr", sys.prefix, sys.base_prefix}}
for folder, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in skip]
    assert "gradebook.db" not in files, folder
"""
    found = outcomes(inside(code))
    assert len(found) == 7 and "DONE" not in found.values(), found


def test_the_view_has_the_system_python_and_what_was_asked_for(inside: Inside, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "data").write_text("course data")
    code = f"print(*sorted(os.listdir('/')), Path({str(shown / 'data')!r}).read_text(), sep='|')"
    seen = inside(code, readonly=[shown]).output.strip().split("|")
    assert seen.pop() == "course data"
    known = {
        "bin",
        "box",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "run",
        "sbin",
        "tmp",
        "usr",
    }
    assert set(seen) <= known | {Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, shown)}
    listing = inside(f"print(*os.listdir({str(tmp_path)!r}))", readonly=[shown]).output.split()
    assert listing == ["shown"]


def test_the_environment_is_the_given_one(inside: Inside, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_TOKEN", "secret-token")
    code = """
print(sorted(os.environ))
print(Path('/proc/1/environ').read_bytes(), Path('/proc/1/cmdline').read_bytes())
"""
    ended = inside(code, environment={"LABS_SEED": "7", "LANG": "C"})
    names, first = ended.output.splitlines()
    assert set(json.loads(names.replace("'", '"'))) - {"LC_CTYPE"} == {
        "HOME",
        "LABS_SEED",
        "LANG",
        "PATH",
    }
    assert "secret-token" not in first and str(box) not in first


def test_home_is_the_box_and_the_user_has_a_name(inside: Inside, box: Path) -> None:
    code = """
import getpass, platform, pwd
print(Path.home(), Path.cwd(), getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name, platform.node())
Path('evidence.json').write_text('{}')
"""
    assert inside(code).output.split() == ["/box", "/box", "learner", "learner", "sandbox"]
    assert (box / "evidence.json").read_text() == "{}"


def test_the_box_can_appear_at_its_own_path(inside: Inside, box: Path) -> None:
    assert inside("print(Path.cwd()); Path('a').touch()", at=box).output.strip() == str(box)
    assert (box / "a").exists()


def test_only_its_own_processes_are_in_view(inside: Inside) -> None:
    code = "print([int(name) for name in os.listdir('/proc') if name.isdecimal()], os.getpid())"
    listed, own = inside(code).output.rsplit(" ", 1)
    assert json.loads(listed) == [1, int(own)]


def test_devices_are_the_harmless_ones(inside: Inside) -> None:
    listed = set(inside("print(*os.listdir('/dev'))").output.split())
    harmless = {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "pts",
        "ptmx",
        "shm",
        "fd",
        "core",
        "console",
    }
    assert listed <= harmless | {"stdin", "stdout", "stderr"}
    assert "null" in listed
    code = """
import stat
for device in (0o1, 0o400, 0xfe00):
    attempt(f"mknod{device}", lambda: os.mknod("/box/device", stat.S_IFBLK | 0o666, device))
    attempt(f"mkchr{device}", lambda: os.mknod("/box/device", stat.S_IFCHR | 0o666, device))
"""
    assert set(outcomes(inside(code)).values()) == {"Operation not permitted"}


def test_no_descriptor_of_the_caller_is_left_open(inside: Inside, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ended = inside("fd = os.open('/', os.O_RDONLY); print(fd, os.readlink('/proc/self/fd/0'))")
    assert ended.output.split() == ["3", "/dev/null"]


def test_a_shown_path_that_only_root_may_read_is_named(inside: Inside, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("for other callers, code inside has the caller's own user id")
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(LabsError, match=r"chmod -R o\+rX .*closed"):
        inside("", readonly=[tmp_path / "closed"])


# What can be changed


def test_nothing_but_the_box_can_be_written(inside: Inside, tmp_path: Path, box: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir(mode=0o777)
    (shown / "data").write_text("as it was")
    (shown / "data").chmod(0o666)
    data = str(shown / "data")
    code = f"""
closed = ["/", "/usr", "/usr/lib", "/etc", "/dev", "/run", "/proc/sys/kernel", sys.prefix]
for folder in [*closed, {str(shown)!r}]:
    attempt("create:" + folder, lambda: open(folder + "/new", "w"))
attempt("write", lambda: open({data!r}, "a"))
attempt("remove", lambda: os.remove({data!r}))
attempt("rename", lambda: os.rename({data!r}, "/box/data"))
attempt("chmod", lambda: os.chmod({data!r}, 0o777))
attempt("link", lambda: os.link({data!r}, "/box/data"))
attempt("core_pattern", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w"))
os.symlink({data!r}, "/box/way-out")
attempt("through-link", lambda: open("/box/way-out", "w"))
"""
    found = outcomes(inside(code, readonly=[shown]))
    assert len(found) == 17 and "DONE" not in found.values(), found
    assert [path.name for path in shown.iterdir()] == ["data"] and (shown / "data").read_text() == "as it was"
    assert not (tmp_path / "new").exists()


def test_links_in_the_box_lead_nowhere_outside(inside: Inside, tmp_path: Path, box: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("as it was")
    owner = (outside / "file").stat().st_uid
    (box / "file").symlink_to(outside / "file")
    (box / "folder").symlink_to(outside)
    code = """
attempt("file", lambda: open("file", "w"))
attempt("folder", lambda: open("folder/new", "w"))
attempt("chmod", lambda: os.chmod("file", 0o666))
"""
    assert set(outcomes(inside(code)).values()) == {"No such file or directory"}
    assert os.listdir(outside) == ["file"] and (outside / "file").read_text() == "as it was"
    assert (outside / "file").stat().st_uid == owner


def test_a_box_that_shares_files_with_the_outside_is_refused(
    inside: Inside, tmp_path: Path, box: Path
) -> None:
    (tmp_path / "data").write_text("of the course")
    os.link(tmp_path / "data", box / "data")
    with pytest.raises(LabsError, match="hard links"):
        inside("")
    (box / "data").unlink()
    (box / "a").touch()
    os.link(box / "a", box / "b")  # both names are in the box
    assert inside("").returncode == 0


def test_a_box_that_is_a_link_or_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "file").touch()
    for name in ("link", "file", "absent"):
        with pytest.raises(LabsError, match="is not a folder"):
            runner.run(["true"], tmp_path / name, readonly=[], environment={}, limits=LIMITS)


def test_a_shown_path_that_does_not_exist_is_named(inside: Inside, tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="absent does not exist"):
        inside("", readonly=[tmp_path / "absent"])


# What powers it has


def test_it_has_no_powers_and_cannot_get_any(inside: Inside) -> None:
    code = """
lines = Path("/proc/self/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, status
assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
attempt("setuid", lambda: os.setuid(0))
attempt("setgroups", lambda: os.setgroups([0]))
attempt("chroot", lambda: os.chroot("/box"))
attempt("hostname", lambda: socket.sethostname("other"))
attempt("mount", lambda: call(libc.mount, b"tmpfs", b"/box", b"tmpfs", 0, None))
attempt("umount", lambda: call(libc.umount2, b"/tmp", 2))
for name, flag in dict(user=0x10000000, mount=0x20000, pid=0x20000000, net=0x40000000).items():
    attempt("unshare-" + name, lambda: call(libc.unshare, flag))
attempt("setns", lambda: call(libc.setns, os.open("/proc/1/ns/net", os.O_RDONLY), 0))
attempt("reboot", lambda: call(libc.reboot, 0xfee1dead))
"""
    found = outcomes(inside(code))
    assert len(found) == 12 and "DONE" not in found.values(), found


def test_the_user_on_the_host_is_nobody_that_matters(inside: Inside, box: Path) -> None:
    inside("Path('mine').touch()")
    owner = (box / "mine").stat().st_uid
    if os.geteuid() == 0:
        assert process.FIRST_UID <= owner < process.FIRST_UID + process.UIDS
    else:
        assert owner == os.geteuid()


def test_host_processes_cannot_be_signalled_or_traced(inside: Inside) -> None:
    code = f"""
for pid in ({os.getpid()}, {os.getppid()}):
    attempt(f"kill{{pid}}", lambda: os.kill(pid, 0))
    attempt(f"memory{{pid}}", lambda: open(f"/proc/{{pid}}/mem"))
child = os.fork()
if child == 0:
    signal.pause()
attempt("trace-own", lambda: call(libc.ptrace, 16, child, 0, 0))
os.kill(child, signal.SIGKILL)
os.kill(1, signal.SIGKILL)  # which the kernel does not let pass to a namespace's first process
print("still here")
"""
    found = outcomes(inside(code))
    assert found.pop("still") == "here"
    assert len(found) == 5 and "DONE" not in found.values(), found


def test_memory_that_no_figure_shows_is_refused(inside: Inside) -> None:
    code = """
attempt("memfd", lambda: os.memfd_create("hidden"))
attempt("segment", lambda: call(libc.shmget, 0, 4096, 0o1600))
attempt("keys", lambda: call(libc.syscall, {"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -3, 0))
attempt("ring", lambda: call(libc.syscall, 425, 1, None))
"""
    assert set(outcomes(inside(code)).values()) == {"Operation not permitted"}


# The network


@pytest.fixture
def host_port() -> Iterator[int]:
    """A port on the host's loopback where something listens, as a gradebook's web server might."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_there_is_no_network_but_its_own_loopback(inside: Inside, host_port: int) -> None:
    with socket.create_connection(("127.0.0.1", host_port), timeout=5):
        pass  # so it is the sandbox that refuses
    name = f"\0sandbox-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(name)
        abstract.listen()
        code = f"""
import threading
def connect(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)
attempt("host", lambda: connect(("127.0.0.1", {host_port})))
attempt("abstract", lambda: connect({name!r}, socket.AF_UNIX))
attempt("outside", lambda: connect(("1.1.1.1", 53)))
attempt("outside6", lambda: connect(("2606:4700:4700::1111", 53), socket.AF_INET6))
attempt("hypervisor", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
server = socket.create_server(("127.0.0.1", 0))
attempt("own", lambda: connect(server.getsockname()))
attempt("name", lambda: connect(("localhost", server.getsockname()[1])))
print("interfaces", *(name for _, name in socket.if_nameindex()))
"""
        found = outcomes(inside(code))
    assert found["interfaces"] == "lo"
    assert (found.pop("own"), found.pop("name")) == ("DONE", "DONE")
    assert found["host"] == found["abstract"] == "Connection refused"
    assert found["outside"] == found["outside6"] == "Network is unreachable"
    assert found["hypervisor"] == found["raw"] == "Address family not supported by protocol"


def test_two_sandboxes_see_nothing_of_each_other(tmp_path: Path) -> None:
    code = (
        ATTEMPT
        + """
with socket.create_server(("127.0.0.1", 45454)):
    Path("/tmp/mark").touch(exist_ok=False)
    Path("/dev/shm/mark").touch(exist_ok=False)
    Path("up").touch()
    while not os.path.exists("go"):
        time.sleep(0.02)
    own = [name for name in os.listdir("/tmp") if not sys.prefix.startswith(f"/tmp/{name}/")]  # the course may live there
    print(sum(name.isdecimal() for name in os.listdir("/proc")), len(own))
"""
    )
    ended: list[Ended] = []
    boxes = [tmp_path / name for name in ("ada", "bob")]

    def run(folder: Path) -> None:
        ended.append(
            runner.run([sys.executable, "-c", code], folder, readonly=[], environment={}, limits=LIMITS)
        )

    threads = [threading.Thread(target=run, args=(folder,)) for folder in boxes]
    for folder, thread in zip(boxes, threads, strict=True):
        folder.mkdir()
        thread.start()
    wait_for(lambda: all((folder / "up").exists() for folder in boxes))
    for folder in boxes:
        (folder / "go").touch()
    for thread in threads:
        thread.join()
    assert [one.output for one in ended] == ["2 1\n", "2 1\n"]


# Limits


def test_a_memory_hog_is_stopped(inside: Inside) -> None:
    code = """
held = []
for _ in range(60):  # 1.2 GiB and no more, should nothing stop it
    held.append(bytearray(os.urandom(1) * (20 * 2**20)))
    time.sleep(0.02)
time.sleep(60)
"""
    ended = inside(code, limits=replace(LIMITS, memory=300 * MIB))
    assert (ended.reason, ended.returncode) == ("memory", None)
    assert "300 MiB" in ended.sentence


def test_memory_is_counted_over_all_processes(inside: Inside) -> None:
    code = """
for _ in range(8):
    if os.fork() == 0:
        held = os.urandom(60 * 2**20)
        time.sleep(60)
time.sleep(60)
"""
    assert inside(code, limits=replace(LIMITS, memory=300 * MIB)).reason == "memory"


def test_shared_memory_is_counted_once(inside: Inside) -> None:
    code = """
held = os.urandom(100 * 2**20)
children = []
for _ in range(5):
    if (child := os.fork()) == 0:
        time.sleep(1.5)
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""
    assert inside(code, limits=replace(LIMITS, memory=300 * MIB)).sentence == "It ended without an error."


def test_a_process_that_starts_others_is_counted_once() -> None:
    code = """
import os, subprocess
held = os.urandom(400 * 2**20)
print("ready", flush=True)
while True:  # by vfork, as Java does; each child has all of the pages for a moment
    subprocess.run(["/bin/true"])
"""
    limit, doubled = 600 * MIB, 0
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            for _ in range(50_000):
                members = watch.members(process.pid)
                doubled += sum(member.resident for member in members) > limit
                assert watch.memory(members, limit) <= limit
                if doubled == 5:
                    break
        finally:
            process.kill()
    assert doubled, "no child was ever seen between vfork and exec"


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_files_in_memory_are_bounded_and_counted(inside: Inside, folder: str) -> None:
    fill = f"""
def fill():
    with open("{folder}/file", "wb") as file:
        for _ in range(40):
            file.write(bytes(2**20))
attempt("fill", fill)
"""
    assert outcomes(inside(fill, limits=replace(LIMITS, scratch=30 * MIB))) == {
        "fill": "No space left on device"
    }
    counted = fill + "time.sleep(60)"
    assert inside(counted, limits=replace(LIMITS, memory=39 * MIB)).reason == "memory"


def test_a_fork_bomb_is_stopped(inside: Inside) -> None:
    code = """
for _ in range(9):  # 2 ** 9 processes and no more, should nothing stop it
    try:
        os.fork()
    except BlockingIOError:
        pass
time.sleep(30)
"""
    ended = inside(code, limits=replace(LIMITS, processes=50))
    assert ended.reason == "processes" and "50 processes" in ended.sentence


def test_the_kernel_itself_stops_at_the_number_of_processes(inside: Inside) -> None:
    """Between two looks of the watcher there is time for thousands."""
    code = """
made = 0
try:
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(30)
        made += 1
except BlockingIOError:
    print(made, flush=True)
time.sleep(30)
"""
    ended = inside(code, limits=replace(LIMITS, processes=60))
    assert ended.reason == "processes" and 50 <= int(ended.output) <= 60


def test_threads_count_as_processes(inside: Inside) -> None:
    code = """
import threading
try:
    for _ in range(300):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
except RuntimeError:
    time.sleep(30)
"""
    assert inside(code, limits=replace(LIMITS, processes=100)).reason == "processes"


def test_a_file_stops_at_its_size(inside: Inside, box: Path) -> None:
    code = """
def flood(name):
    with open(name, "wb") as file:
        for _ in range(20):
            file.write(bytes(2**20))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
attempt("flood", lambda: flood("big"))
attempt("hole", lambda: os.truncate("big", 2**40))
"""
    assert set(outcomes(inside(code, limits=replace(LIMITS, file_size=5 * MIB))).values()) == {
        "File too large"
    }
    assert (box / "big").stat().st_size <= 5 * MIB


DISK_FLOODS = {
    "many-files": """
for number in range(200):
    Path(str(number)).write_bytes(bytes(2**20))
""",
    "deep": """
for _ in range(200):
    os.mkdir("d")
    os.chdir("d")
    Path("f").write_bytes(bytes(2**20))
""",
    "out-of-reach": """
for _ in range(25):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
for number in range(60):
    Path(str(number)).write_bytes(bytes(2**20))
""",
    "deleted": """
held = []
for _ in range(200):
    held.append(open("f", "wb", 0))
    held[-1].write(bytes(2**20))
    os.remove("f")
""",
    "gone-before-a-look": """
for number in range(60):
    Path(str(number)).write_bytes(bytes(2**20))
os._exit(0)
""",
    "empty-files": """
for number in range(3000):
    Path(str(number)).touch()
""",
}


@pytest.mark.parametrize("flood", DISK_FLOODS)
def test_a_disk_flood_is_stopped(inside: Inside, flood: str) -> None:
    ended = inside(DISK_FLOODS[flood] + "\ntime.sleep(60)", limits=replace(LIMITS, disk=30 * MIB))
    assert (ended.reason, ended.returncode) == ("disk", None)


def test_an_output_flood_is_stopped_and_only_its_end_kept(inside: Inside) -> None:
    code = """
for _ in range(2000):  # 200 MB and no more, should nothing stop it
    os.write(1, b"x" * 100_000)
"""
    ended = inside(code, limits=replace(LIMITS, output=5 * MIB))
    assert ended.reason == "output" and 0 < len(ended.output) <= runner.TAIL


def test_output_comes_whole_and_in_order(inside: Inside) -> None:
    parts: list[bytes] = []
    code = "for n in range(50_000): print(n)\nos.write(2, b'\\xff end')"
    ended = inside("sys.stdout = os.fdopen(1, 'w', 1)\n" + code, on_output=parts.append)
    assert b"".join(parts).split() == [*(str(n).encode() for n in range(50_000)), b"\xff", b"end"]
    assert ended.output.endswith("49999\n� end") and len(ended.output) <= runner.TAIL


def test_an_endless_loop_meets_the_wall(inside: Inside) -> None:
    ended = inside("while True: pass", limits=replace(LIMITS, wall=1))
    assert (ended.reason, ended.returncode) == ("wall time", None) and ended.sentence == (
        "It ran for more than 1 s and was stopped."
    )


def test_no_core_is_dumped_and_the_signal_is_told(inside: Inside, box: Path) -> None:
    ended = inside("os.kill(os.getpid(), signal.SIGSEGV)")
    assert (ended.returncode, ended.sentence) == (139, "It was ended by signal 11.") and os.listdir(box) == []


def test_a_code_and_a_missing_program_are_told(inside: Inside, box: Path) -> None:
    assert inside("sys.exit(3)").sentence == "It ended with code 3."
    ended = runner.run(["no-such-program"], box, readonly=[], environment={}, limits=LIMITS)
    assert ended.returncode == 127 and "no-such-program cannot be run in the sandbox" in ended.output


# Nothing is left

SAY_WHERE = "print(os.readlink('/proc/self/ns/pid'), flush=True)\n"

WAIT = """
def wait(name):
    while not os.path.exists(name):
        time.sleep(0.02)
"""

SURVIVORS = {
    "ignored-signals": """
for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
    signal.signal(number, signal.SIG_IGN)
while True:
    pass
""",
    "daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 100)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("up").touch()
    time.sleep(300)
wait("up")
""",
    "children": """
for number in range(20):
    if os.fork() == 0:
        Path(str(number)).touch()
        time.sleep(300)
for number in range(20):
    wait(str(number))
""",
    "stopped": """
if (child := os.fork()) == 0:
    os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, os.WUNTRACED)
""",
    "closed-output": """
os.closerange(0, 3)
while True:
    time.sleep(1)
""",
}


@pytest.mark.parametrize("kind", SURVIVORS)
def test_nothing_is_alive_when_it_returns(inside: Inside, kind: str) -> None:
    ended = inside(SAY_WHERE + WAIT + SURVIVORS[kind], limits=replace(LIMITS, wall=2))
    namespace = ended.output.strip()
    assert namespace.startswith("pid:[") and living_in(namespace) == []


def test_it_can_be_stopped_from_another_thread(inside: Inside, box: Path) -> None:
    stop = threading.Event()

    def stop_when_up() -> None:
        wait_for((box / "up").exists)
        stop.set()

    threading.Thread(target=stop_when_up).start()
    ended = inside(SAY_WHERE + "Path('up').touch()\nwhile True: pass", stop=stop)
    assert ended.reason == "stopped" and living_in(ended.output.strip()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_in_the_caller_ends_everything(inside: Inside, error: type[BaseException]) -> None:
    said: list[bytes] = []

    def interrupted(chunk: bytes) -> None:
        said.append(chunk)
        raise error

    before = os.listdir("/proc/self/fd")
    with pytest.raises(error):
        inside(SAY_WHERE + "time.sleep(300)", on_output=interrupted)
    assert living_in(said[0].decode().strip()) == []
    assert os.listdir("/proc/self/fd") == before


CALLER = """
import sys
from pathlib import Path
from grader.sandbox import runner
box, code = sys.argv[1:]
limits = runner.Limits(processes=200, wall=300)
runner.run([sys.executable, "-c", code], Path(box), readonly=[], environment={}, limits=limits)
"""

# Overwrites the code at which the namespace's first process waits: it drops its wish to die with its parent,
# then waits for ever. Nothing forbids that, since it has the same user id.
TAMPER = """
import struct
number, *_, stack, place = Path("/proc/1/syscall").read_text().split()
forget = b"\\xb8" + struct.pack("I", 157) + b"\\xbf" + struct.pack("I", 1) + b"\\x31\\xf6\\x0f\\x05"
wait = b"\\xb8" + struct.pack("I", 34) + b"\\x0f\\x05\\xeb\\xf7"
with open("/proc/1/mem", "r+b", buffering=0) as memory:
    memory.seek(int(place, 16))
    memory.write(forget + wait)
child = os.fork()
if child == 0:
    if os.fork():
        os._exit(0)
    os._exit(0)  # an orphan, which wakes the first process up
os.waitpid(child, 0)
while Path("/proc/1/syscall").read_text().split()[0] != "34":
    time.sleep(0.02)
"""


@pytest.mark.parametrize("first", ["", TAMPER], ids=["plain", "tampered"])
def test_when_the_caller_is_killed_everything_dies(first: str, box: Path) -> None:
    if first and os.uname().machine != "x86_64":
        pytest.skip("the tampering is written in x86-64 machine code")
    code = ATTEMPT + first + "Path('up.part').write_text(os.readlink('/proc/self/ns/pid'))\n"
    code += "os.rename('up.part', 'up')\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(300)"
    caller = subprocess.Popen([sys.executable, "-c", CALLER, str(box), code], cwd=ROOT)
    wait_for(lambda: (box / "up").exists() or caller.poll() is not None)
    namespace = (box / "up").read_text()
    assert living_in(namespace) != []
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    wait_for(lambda: not living_in(namespace))


def test_a_plan_cut_short_starts_nothing(box: Path) -> None:
    with process.standing(box, runner.BOX, [], MIB, process.own(box)) as standing:
        assert standing.process.stdin is not None
        standing.process.stdin.write(b'{"command": ["touch", "started"], "folder": "/box"')
        standing.process.stdin.close()
        assert standing.process.wait(DEADLINE) == 125
    assert os.listdir(box) == []


# Other callers, other machines


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree.shutil, "which", lambda *arguments, **options: None)
    runner.available.cache_clear()
    with pytest.raises(LabsError, match="apt-get install bubblewrap"):
        runner.available()


def test_other_systems_are_told_of_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    runner.available.cache_clear()
    with pytest.raises(LabsError, match="--no-sandbox"):
        runner.available()


ORDINARY = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from grader.sandbox import runner
assert os.geteuid() != 0
limits = runner.Limits(memory=300 * 2**20, processes=60, disk=30 * 2**20, wall=3)
reasons = {}
for name, code in json.loads(sys.argv[2]).items():
    box = Path(sys.argv[1], name)
    box.mkdir()
    command = [sys.executable, "-c", code]
    ended = runner.run(command, box, readonly=[], environment={}, limits=limits)
    reasons[name] = [ended.reason, ended.output]
print(json.dumps(reasons))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test has an ordinary user as its caller")
def test_the_limits_hold_for_a_caller_who_is_not_root(box: Path) -> None:
    codes = {
        "ended": """
import os
writable = [path for path in ("/", "/run", "/etc", "/dev") if os.access(path, os.W_OK)]
print(os.getuid(), os.listdir("/box"), writable)
""",
        "processes": """
import os, time
for _ in range(8):
    try:
        os.fork()
    except OSError:
        pass
time.sleep(30)
""",
        "memory": "import os, time; held = os.urandom(500 * 2**20); time.sleep(30)",
        "disk": """
import os, time
held = []
for _ in range(60):
    held.append(open("f", "wb", 0))
    held[-1].write(bytes(2**20))
    os.remove("f")
time.sleep(30)
""",
        "disk, closed": """
import os, time
os.mkdir("closed")
os.chdir("closed")
os.chmod(".", 0o300)
for number in range(60):
    open(str(number), "wb").write(bytes(2**20))
time.sleep(30)
""",
        "wall time": "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); time.sleep(30)",  # hides from /proc
    }
    os.chown(box, 12345, 12345)
    # An ordinary user's view of this machine: /root is open, and has nothing in it but the interpreter.
    paths = (sys.prefix, sys.base_prefix, str(ROOT))
    shown = [part for path in paths for part in ("--ro-bind", path, path)]
    as_user = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "--bind", "/proc", "/proc"]
    as_user += ["--perms", "0755", "--tmpfs", "/root"]
    as_user += [
        "--perms",
        "0755",
        "--dir",
        str(Path(sys.base_prefix).parent),
        *shown,
        "--bind",
        str(box),
        "/mnt",
    ]
    as_user += ["--chdir", str(ROOT), "setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    command = [*as_user, sys.executable, "-c", ORDINARY, "/mnt", json.dumps(codes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: reason for name, (reason, _) in found.items()} == {
        name: name.split(",")[0] for name in codes
    }
    assert found["ended"][1] == "1000 [] []\n"


# Spark

SPARK = """
import os
from labs_lib.engine import session
spark = session.connection().spark
table = os.environ["LABS_WORKSPACE"] + "/numbers"
spark.range(1000).write.format("delta").save(table)
print(spark.read.format("delta").load(table).count(), os.readlink("/proc/self/ns/pid"))
"""


def test_a_spark_server_a_client_and_a_delta_write_run_inside(box: Path, shared_home: Path) -> None:
    home = box / "home"
    (home / "jars").mkdir(parents=True)
    for jar in (shared_home / "jars").glob("*.jar"):
        (home / "jars" / jar.name).symlink_to(jar)
    ended = runner.run(
        [sys.executable, "-c", SPARK],
        box,
        readonly=[shared_home / "jars", ROOT / "labs_lib", ROOT / "datasets"],
        environment={"LABS_HOME": "/box/home", "LABS_WORKSPACE": "/box/workspace"},
        limits=Limits(wall=300),
    )
    assert ended.returncode == 0, ended.output
    count, namespace = ended.output.split()[-2:]
    assert count == "1000" and living_in(namespace) == []  # neither the server nor its idle watcher
    assert deltalake.DeltaTable(box / "workspace" / "numbers").to_pyarrow_table().num_rows == 1000
