"""Runs a submitted notebook inside its sandbox, cell by cell, whatever they raise.

Called as `python -s -P inside.py NOTEBOOK EXECUTED CELL_TIMEOUT`; it imports the learners' packages only. The lab starts the Spark
server at its first use; where the notebook's code speaks of one, it is started here already, beside the kernel and on nobody's patience. The executed
notebook is written after each code cell, so a run that is cut short leaves what it had. This program shares a user
with the learner's code and everything it writes may be forged: nobody outside believes it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

# jsonschema would load it, and it builds a grammar of addresses for one to two seconds of CPU. A notebook's schema asks for no address.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

import nbformat  # noqa: E402
from jupyter_core.utils import ensure_async  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from nbformat import NotebookNode  # noqa: E402

from labs_lib.engine import server  # noqa: E402
from labs_lib.engine.clock import of_everybody  # noqa: E402
from labs_lib.errors import LabsError  # noqa: E402

START_TIMEOUT = 120  # seconds for a kernel to come up
OUTPUTS = 200  # outputs of a cell that are kept
TEXT = 200_000  # characters of a text output that are kept
# Sent before the learner's first cell: imports and the session, so that what follows is theirs alone.
IMPORTS = "import labs_lib.checking.checker"
SESSION = "import labs_lib.engine.session as _s; _s.connection().spark.range(1).collect(); del _s"


class Client(NotebookClient):
    """nbclient that warms the kernel up, and waits for the Spark server before the first cell if one is started."""

    server_is_up: threading.Thread | None

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        client.execute(IMPORTS, silent=True, store_history=False)
        if self.server_is_up:
            self.server_is_up.join()
            client.execute(SESSION, silent=True, store_history=False)
        client.shell_channel.get_msg = _in_own_time(client.shell_channel.get_msg)
        return client


def _in_own_time(get_msg: Callable[..., Any]) -> Callable[..., Any]:
    """`get_msg` of a channel, whose timeout is in seconds of the sandbox's own time: a busy machine is no slow cell."""

    async def patient(timeout: float | None = None) -> Any:
        if timeout is None:
            return await ensure_async(get_msg())
        clock = of_everybody()
        while True:
            try:
                return await ensure_async(get_msg(timeout=min(1.0, timeout)))
            except Empty:
                if clock.passed() >= timeout:
                    raise

    return patient


def main(notebook: Path, executed: Path, cell_timeout: int) -> None:
    """Run `notebook` in the workspace and leave it with its outputs at `executed`."""
    failure: list[str] = []

    def start() -> None:
        try:
            server.ensure()
        except LabsError as error:
            failure.append(str(error))

    nb = nbformat.read(notebook, as_version=4)
    workspace = Path(os.environ["LABS_WORKSPACE"])
    workspace.mkdir(parents=True, exist_ok=True)

    def keep(cell: NotebookNode, **_: Any) -> None:
        cell.outputs = [_trimmed(output) for output in cell.outputs[:OUTPUTS]]
        scratch = executed.with_suffix(".tmp")
        nbformat.write(nb, scratch)
        scratch.replace(executed)

    client = Client(
        nb,
        kernel_name="python3",
        timeout=cell_timeout,
        startup_timeout=START_TIMEOUT,
        allow_errors=True,
        interrupt_on_timeout=True,
        error_on_timeout={
            "ename": "CellTimeoutError",
            "evalue": f"The cell ran for more than {cell_timeout} s and was interrupted.",
            "traceback": [],
        },
        resources={"metadata": {"path": str(workspace)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:"],
        on_cell_executed=keep,
    )
    client.server_is_up = threading.Thread(target=start) if _speaks_of_spark(nb) else None
    if client.server_is_up:
        client.server_is_up.start()
    try:
        client.execute()
    except DeadKernelError:
        sys.exit("The kernel ended before the notebook did; the cells after that were not run.")
    if failure:
        sys.exit(failure[0])


def _speaks_of_spark(nb: NotebookNode) -> bool:
    """A cheap look. Code that gets at Spark by other words starts the server itself, within its cell's time."""
    return any(cell.cell_type == "code" and re.search(r"\bspark\b", cell.source) for cell in nb.cells)


def _trimmed(output: NotebookNode) -> NotebookNode:
    if output.output_type == "stream" and len(output.text) > TEXT:
        output.text = output.text[:TEXT] + "\n... the rest is left out ..."
    return output


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
