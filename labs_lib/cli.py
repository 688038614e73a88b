"""The `labs` command."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from labs_lib import registry, settings
from labs_lib.errors import LabsError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The course's Spark server, and a learner's workspace."
)
console = Console()

ROOT = Path(__file__).resolve().parent.parent


@app.command()
def setup() -> None:
    """Fetch the Delta jars and prepare fast starts. Done once; later calls find nothing to do."""
    from labs_lib.engine import archive, jars, java, server, training

    with _sentences():
        server.check_machine()
        found = java.find()
        if jars.missing():
            console.print("Fetching the Delta jars ...")
        jars.resolve(found)
        if not archive.options(found):
            console.print("Preparing fast starts (a class archive; about a minute, once) ...")
            if not training.create(found):
                console.print(
                    f"Java {found.version} made no class archive; starts will be slower, nothing else changes."
                )


@app.command()
def start() -> None:
    """Start the Spark server if it does not run."""
    from labs_lib.engine import server

    with _sentences():
        found = server.ensure()
        console.print(f"The Spark server runs (pid {found.pid}); its UI is at {found.ui}", highlight=False)


@app.command()
def stop() -> None:
    """Stop the Spark server, and the workspaces that run."""
    from labs_lib.engine import server
    from labs_lib.workspace import process

    with _sentences():
        for folder in process.stop_all():
            console.print(f"The workspace of {folder} has stopped.", highlight=False, soft_wrap=True)
        console.print("The Spark server has stopped." if server.stop() else "No Spark server was running.")


@app.command()
def status() -> None:
    """Tell whether the Spark server runs, and which workspaces do."""
    from labs_lib.engine import server
    from labs_lib.workspace import process

    with _sentences():
        found = server.running()
        for each in process.every():
            console.print(
                f"The workspace of {each.folder} runs since {each.started} (pid {each.pid}, {_memory(each.pid)}) at {each.address}; "
                f"its page is at {each.page}",
                highlight=False,
                soft_wrap=True,
            )
    if found is None:
        console.print("No Spark server is running; a notebook starts one when it needs it.")
        raise typer.Exit(1)
    console.print(
        f"The Spark server runs since {found.started} (pid {found.pid}, Java {found.java_version}, {_memory(found.pid)}); "
        f"its UI is at {found.ui}",
        highlight=False,
        soft_wrap=True,
    )


def _memory(pid: int) -> str:
    return f"{psutil.Process(pid).memory_info().rss / 2**20:,.0f} MiB"


@app.command()
def doctor() -> None:
    """Print what the course finds on this machine, and what is wrong. Exit code 1 if something is."""
    from labs_lib.engine import archive, jars, java, server
    from labs_lib.workspace import client, process

    with _sentences():
        settings.home()  # all that follows is looked for there
    wrong: list[str] = []
    table = Table(show_header=False, box=None)

    def row(name: str, value: str, problem: str | None = None) -> None:
        table.add_row("[red]✘" if problem else "[green]✔", name, value)
        wrong.extend([problem] if problem else [])

    import delta
    import pyspark

    del delta
    from importlib.metadata import version

    row("Python", f"{sys.version.split()[0]}  {sys.executable}")
    row("Spark, Delta", f"{pyspark.__version__}, {version('delta-spark')}")
    try:
        found = java.find()
        row("Java", f"{found.version} from {found.origin}  {found.executable}")
        archived = bool(archive.options(found))
        row(
            "class archive",
            "there" if archived else "not made yet: starts are slower (`labs setup` makes it)",
        )
    except LabsError as error:
        row("Java", "none that serves", str(error))
    lacking = jars.missing()
    row(
        "Delta jars",
        f"{len(jars.pinned()) - len(lacking)} of {len(jars.pinned())} in {jars.folder()}",
        "Some Delta jars are missing or damaged; run `labs setup` with a network." if lacking else None,
    )
    running = server.running()
    if remote := settings.remote():
        row("server", f"SPARK_REMOTE names {remote.split('/;')[0]}; no local one is started")
    elif running:
        row("server", f"pid {running.pid}, port {running.port}, UI {running.ui}, since {running.started}")
    else:
        row("server", "not running; a notebook starts it when it needs it")
    workspaces = list(process.every())
    if client.is_elsewhere():
        row("workspace", f"DATABRICKS_HOST names {os.environ['DATABRICKS_HOST']}; no local one is started")
    for each in workspaces:
        row("workspace", f"pid {each.pid}, {each.address}, since {each.started}, {each.folder}")
    if not workspaces and not client.is_elsewhere():
        row("workspace", "none running; a notebook starts its own when it needs it")
    memory = psutil.virtual_memory()
    row(
        "memory",
        f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, {os.cpu_count()} cores",
    )
    row("disk", f"{shutil.disk_usage(settings.home()).free / 2**30:.1f} GiB free at {settings.home()}")
    try:
        if not running:
            server.check_machine()
        settings.port(), settings.idle_minutes()
    except LabsError as error:
        row("limits", "not met", str(error))
    console.print(table, soft_wrap=True, highlight=False)
    for problem in wrong:
        console.print(f"[red]{problem}", soft_wrap=True)
    console.print("Everything is in place." if not wrong else "")
    raise typer.Exit(1 if wrong else 0)


@app.command()
def progress(
    workspace: Annotated[Path | None, typer.Option(help="Folder of the learner's workspace.")] = None,
) -> None:
    """Show which steps are solved."""
    from labs_lib.checking import cards
    from labs_lib.checking.progress_file import load

    place = workspace or (settings.workspace() if "LABS_WORKSPACE" in os.environ else ROOT / "work" / ".labs")
    with _sentences():
        console.print(cards.progress_text(load(place), registry.modules()), highlight=False)


@app.command()
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    folder: Annotated[Path, typer.Option(help="Where the learner's own copy goes.")] = ROOT / "work",
) -> None:
    """Copy the modules to the learner's own folder (never over work that is there) and open JupyterLab on it."""
    with _sentences():
        settings.usable(folder.absolute(), "--folder")
        settings.usable(folder.absolute() / ".labs", "--folder")
        copied = copy_modules(ROOT / "modules", folder)
        for path in copied:
            console.print(f"new: {path}", highlight=False)
        # Without nbgrader's instructor menus and the news pop-up; what the user has configured still counts.
        config = os.pathsep.join(
            filter(None, [os.environ.get("JUPYTER_CONFIG_PATH"), str(ROOT / "labs_lib" / "jupyter")])
        )
        environment = {
            **os.environ,
            "LABS_WORKSPACE": str(folder.absolute() / ".labs"),
            "JUPYTER_CONFIG_PATH": config,
        }
        # The server warms up while the browser opens; a notebook that is faster waits for this very start.
        subprocess.Popen(
            [sys.executable, "-m", "labs_lib.cli", "start"], stdout=subprocess.DEVNULL, start_new_session=True
        )
        command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder.absolute()}"]
        command += [] if browser else ["--no-browser"]
        command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        raise typer.Exit(subprocess.run(command, env=environment).returncode)


# By name: whatever has to do with this file has nothing to do with what these commands import.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def bundle(context: typer.Context) -> None:
    """Deploy what a databricks.yml describes: validate, deploy, summary, run, destroy."""
    commands = importlib.import_module("labs_lib.cicd.bundle.commands").app
    commands(args=context.args, prog_name="labs bundle")


@app.command(context_settings=_PASSED_ON, add_help_option=False)
def terraform(context: typer.Context) -> None:
    """Terraform, or OpenTofu, with the course's provider for the workspace."""
    with _sentences():
        command = importlib.import_module("labs_lib.cicd.terraform.command")
        raise typer.Exit(command.run(context.args))


def copy_modules(source: Path, target: Path) -> list[Path]:
    """Copy each module's files that the target lacks; returns what was copied.

    A file that is there already is the learner's, even if the course has a newer one: that comes beside it as `<name>.new.ipynb`.
    """
    copied: list[Path] = []
    for path in sorted(source.rglob("*.ipynb")):
        if ".ipynb_checkpoints" in path.parts:
            continue
        own = target / path.relative_to(source)
        released = target / ".labs" / "released" / path.relative_to(source)
        content = path.read_bytes()
        own.parent.mkdir(parents=True, exist_ok=True)
        released.parent.mkdir(parents=True, exist_ok=True)
        if not own.exists():
            own.write_bytes(content)
            copied.append(own)
        elif released.exists() and released.read_bytes() != content:
            newer = own.with_suffix(".new.ipynb")
            newer.write_bytes(content)
            copied.append(newer)
        released.write_bytes(content)
    return copied


class _sentences:
    """Turns a LabsError into its sentence and exit code 1, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LabsError):
            Console(stderr=True).print(f"[red]{error}", soft_wrap=True, highlight=False)
            raise typer.Exit(1)


if __name__ == "__main__":
    app()
