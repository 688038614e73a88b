"""The system calls that the sandbox refuses, as a seccomp filter for bubblewrap's `--seccomp`.

It closes what namespaces and dropped capabilities leave open: kinds of memory that no process's figures
show (memfd, System V segments), key rings and sockets to the hypervisor that no namespace separates, and
parts of the kernel that coursework never needs and attacks often use.

Sources: seccomp(2), the kernel's `filter.txt`; numbers from asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

from labs_lib.errors import LabsError

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # BPF operations
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000  # seccomp's verdicts; REFUSE carries an errno
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, (16, 24, 32)  # offsets in struct seccomp_data (little endian)
X32 = 0x40000000  # x86-64's second numbering of the same calls

# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Above all not AF_VSOCK: it passes by network namespaces.
SOCKET_FAMILIES = (1, 2, 10, 16)

# SOL_SOCKET's SO_SNDBUF and SO_RCVBUF, which seem to succeed and do nothing: what waits in sockets is no process's memory, and watch.py
# counts on the default. They are wishes anyway: the kernel cuts them down to its own limits.
SOCKET_LEVEL, BUFFER_SIZES = 1, (7, 8)


@dataclass(frozen=True)
class Machine:
    """One architecture: its audit number, the number of `socket`, and the refused calls by name."""

    audit: int
    socket: int
    setsockopt: int
    refused: dict[str, int]


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        socket=41,
        setsockopt=54,
        refused={
            "shmget": 29,
            "ptrace": 101,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "perf_event_open": 298,
            "memfd_create": 319,
            "bpf": 321,
            "userfaultfd": 323,
            "io_uring_setup": 425,
            "memfd_secret": 447,
        },
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        socket=198,
        setsockopt=208,
        refused={
            "ptrace": 117,
            "shmget": 194,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "perf_event_open": 241,
            "memfd_create": 279,
            "bpf": 280,
            "userfaultfd": 282,
            "io_uring_setup": 425,
            "memfd_secret": 447,
        },
    ),
}


def program(machine: str = "") -> bytes:
    """Return the compiled filter for `machine` (this one by default).

    Raises LabsError for an architecture whose system call numbers are not listed here.
    """
    name = machine or platform.machine()
    if name not in MACHINES:
        raise LabsError(
            f"The sandbox has no list of system calls for {name}; grade on {' or '.join(MACHINES)}, "
            "or add the numbers to grader/sandbox/seccomp.py."
        )
    rules = MACHINES[name]
    refuse, allow, other_family, pretend = "refuse", "allow", "family", "pretend"
    steps: list[tuple[int, int, str, str]] = [
        (LOAD, ARCHITECTURE, "", ""),
        (EQUAL, rules.audit, "", "kill"),
        (LOAD, NUMBER, "", ""),
        (AT_LEAST, X32, refuse, ""),
        *((EQUAL, number, refuse, "") for number in rules.refused.values()),
        (EQUAL, rules.setsockopt, "option", ""),
        (EQUAL, rules.socket, "", allow),
        (LOAD, ARGUMENTS[0], "", ""),
        *((EQUAL, family, allow, "") for family in SOCKET_FAMILIES[:-1]),
        (EQUAL, SOCKET_FAMILIES[-1], allow, other_family),
    ]
    option = len(steps)
    steps += [
        (LOAD, ARGUMENTS[1], "", ""),
        (EQUAL, SOCKET_LEVEL, "", allow),
        (LOAD, ARGUMENTS[2], "", ""),
        *((EQUAL, size, pretend, "") for size in BUFFER_SIZES[:-1]),
        (EQUAL, BUFFER_SIZES[-1], pretend, allow),
    ]
    verdicts = {
        other_family: REFUSE | errno.EAFNOSUPPORT,
        allow: ALLOW,
        refuse: REFUSE | errno.EPERM,
        pretend: REFUSE | 0,
        "kill": KILL,
    }
    place = {label: len(steps) + offset for offset, label in enumerate(verdicts)} | {"option": option}
    compiled = b""
    for index, (operation, value, then, otherwise) in enumerate(steps):
        jumps = (place[label] - index - 1 if label else 0 for label in (then, otherwise))
        compiled += struct.pack("HBBI", operation, *jumps, value)
    return compiled + b"".join(struct.pack("HBBI", RETURN, 0, 0, verdict) for verdict in verdicts.values())
