"""(b) Memory of three open notebooks: three kernels and one server, against three kernels with a JVM each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import psutil
from jupyter_client.manager import KernelManager
from rich.console import Console

from benchmarks.figures import Figure, Result
from benchmarks.ground import NOTEBOOK_TIMEOUT, Ground
from benchmarks.notebook import ENGINES
from labs_lib.engine import server
from labs_lib.errors import LabsError

NOTEBOOKS = 3
RATIO_TARGET = 0.5  # issue 3, "Benchmarks", (b)
KERNEL_START = 120  # seconds
MIB = 2**20
CODE = """
from pathlib import Path
from benchmarks import notebook, workload
spark = notebook.session({engine!r}, Path({folder!r}))
workload.small(spark, notebook.sources())
"""


def measure(place: Ground, console: Console) -> Result:
    """Open three notebooks in each form, one form at a time, and sum what their processes hold."""
    server.stop()
    sizes: dict[str, dict[str, float]] = {}
    for engine in ENGINES:
        with contextlib.ExitStack() as opened:
            kernels = [opened.enter_context(_kernel(place, engine)) for _ in range(NOTEBOOKS)]
            sizes[engine] = _sizes(kernels)
        console.print(f"(b) {engine}: {sum(sizes[engine].values()) / MIB:,.0f} MiB", highlight=False)
    server.stop()
    total = {engine: sum(sizes[engine].values()) for engine in ENGINES}
    figures = [
        Figure(
            "b",
            "three notebooks / three classic sessions",
            total["course"] / total["stock"],
            "x",
            RATIO_TARGET,
        ),
        *(
            Figure("b", f"  {engine}, {kind}", size / MIB, "MiB")
            for engine in ENGINES
            for kind, size in sizes[engine].items()
        ),
    ]
    counted = (
        f"(b) Sum of PSS (shared pages counted once) of {NOTEBOOKS} Jupyter kernels with all their child processes, the server and "
        "its idle watcher, with the notebooks open and idle after the same small workload (a join to pandas, a Delta table, its history)."
    )
    return Result(tuple(figures), counted, {"bytes": sizes})


@contextlib.contextmanager
def _kernel(place: Ground, engine: str) -> Iterator[int]:
    """A kernel that has done the small workload; gives its process id and shuts it down afterwards."""
    folder = place.fresh(engine)
    manager = KernelManager(kernel_name="python3")
    output = (folder / "output.txt").open("wb")
    manager.start_kernel(
        env=place.environment(engine, folder), cwd=str(folder), stdout=output, stderr=output,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )  # fmt: skip
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=KERNEL_START)
        code = CODE.format(engine=engine, folder=str(folder))
        reply = client.execute_interactive(code, timeout=NOTEBOOK_TIMEOUT, output_hook=lambda message: None)
        if reply["content"]["status"] != "ok":
            content = reply["content"]
            raise LabsError(f"A {engine} notebook failed: {content.get('ename')}: {content.get('evalue')}")
        pid = manager.provisioner.pid  # type: ignore[union-attr]
        if pid is None:
            raise LabsError(f"A {engine} notebook's kernel has ended.")
        yield pid
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)
        output.close()


def _sizes(kernels: Iterable[int]) -> dict[str, float]:
    """PSS in bytes by kind of process."""
    sizes = {"Python": 0.0, "JVM": 0.0}
    roots = list(kernels)
    if (found := server.running()) is not None:
        roots.append(found.pid)
        roots.extend(_watchers())
    for root in roots:
        process = psutil.Process(root)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                sizes["JVM" if "java" in each.name() else "Python"] += each.memory_full_info().pss
    return sizes


def _watchers() -> list[int]:
    """The idle watcher of this benchmark's server: another process that the course keeps running."""
    home = str(server.folder().parent)
    found = []
    for each in psutil.process_iter(["pid", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            watches = "labs_lib.engine.idle" in (each.info["cmdline"] or [])
            if watches and each.environ().get("LABS_HOME") == home:
                found.append(each.info["pid"])
    return found
