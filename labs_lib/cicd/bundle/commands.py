"""`labs bundle`: what `databricks bundle` does, as much of it as the course needs. It works in the folder of a `databricks.yml`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from labs_lib.cicd import rest
from labs_lib.cicd.bundle import deploying, resolving
from labs_lib.cicd.bundle.resolving import Resolved
from labs_lib.cicd.bundle.tree import MOST_BYTES, BundleError
from labs_lib.errors import LabsError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Deploy what a databricks.yml describes.")

Target = Annotated[str | None, typer.Option("-t", "--target", help="Which of the bundle's targets.")]
Values = Annotated[list[str], typer.Option("--var", help="A variable's value: name=value.")]
Sure = Annotated[bool, typer.Option("--auto-approve", help="Don't ask.")]


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except LabsError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None


def files_of(folder: Path) -> dict[str, str]:
    """The texts of a folder's YAML files by path. Raises BundleError if one can't be read."""
    found: dict[str, str] = {}
    for path, content in deploying.own_files(folder).items():
        if path.endswith((".yml", ".yaml")):
            try:
                found[path] = content[: MOST_BYTES + 1].decode()
            except UnicodeDecodeError:
                raise BundleError(f"{path} is no text in UTF-8.") from None
    return found


def workspace() -> rest.Workspace:
    """The workspace that DATABRICKS_HOST and DATABRICKS_TOKEN name, else the learner's own. Raises LabsError if neither can be had."""
    if found := rest.of_environment():
        return found
    from labs_lib import settings
    from labs_lib.workspace import client

    folder = settings.workspace() / "03_cicd"
    return rest.Workspace(client.address_of(folder), client.token_for(folder))


def _resolved(target: str | None, values: list[str], w: rest.Workspace) -> Resolved:
    folder = Path.cwd()
    given = {
        name.removeprefix("BUNDLE_VAR_"): value
        for name, value in os.environ.items()
        if name.startswith("BUNDLE_VAR_")
    }
    for each in values:
        name, equals, value = each.partition("=")
        if not equals:
            raise BundleError(f"--var {each}: it is --var name=value.")
        given[name] = value
    bundle = resolving.load(files_of(folder), frozenset(deploying.own_files(folder)))
    user = str(w.get("/api/2.0/preview/scim/v2/Me")["userName"])
    return resolving.resolve(
        bundle, target or os.environ.get("DATABRICKS_BUNDLE_TARGET"), user, given, deploying.commit_of(folder)
    )


@app.command()
def validate(
    target: Target = None,
    var: Values = [],  # noqa: B006 - typer's way
    output: Annotated[
        str, typer.Option("-o", "--output", help="text, or json for all that it comes to.")
    ] = "text",
) -> None:
    """Say what the bundle comes to for a target, or what is wrong with it."""
    with _sentences():
        resolved = _resolved(target, var, workspace())
        if output == "json":
            typer.echo(json.dumps(resolved.shown(), indent=2))
            return
        typer.echo(
            f"{resolved.name}, target {resolved.target}{f' in {resolved.mode} mode' if resolved.mode else ''}, at {resolved.root_path}"
        )
        for kind, named in sorted(resolved.resources.items()):
            for key, settings in sorted(named.items()):
                typer.echo(f"  {kind}.{key}: {settings.get('name') or settings.get('cluster_name')}")
        typer.echo("Validation OK!")


@app.command()
def deploy(target: Target = None, var: Values = [], auto_approve: Sure = False) -> None:  # noqa: B006
    """Bring files, jobs and clusters into the workspace as the bundle has them for a target."""
    with _sentences():
        w = workspace()
        resolved = _resolved(target, var, w)
        folder = Path.cwd()
        deploying.deploy(w, resolved, deploying.own_files(folder), deploying.commit_of(folder), typer.echo)
        typer.echo(f"{resolved.name} is deployed to {resolved.target}.")


@app.command()
def summary(target: Target = None, var: Values = []) -> None:  # noqa: B006
    """List the bundle's resources, and whether the workspace has them."""
    with _sentences():
        w = workspace()
        resolved = _resolved(target, var, w)
        typer.echo(f"{resolved.name}, target {resolved.target}, at {resolved.root_path}")
        for key, name, said in deploying.summary(w, resolved):
            typer.echo(f"  {key}: {name or '-'}: {said}")


@app.command()
def run(
    job: Annotated[str, typer.Argument(help="The job's key in the bundle.")],
    target: Target = None,
    var: Values = [],  # noqa: B006
) -> None:
    """Run a deployed job and wait for its end; the exit code is 1 if it fails."""
    with _sentences():
        w = workspace()
        if not deploying.run(w, _resolved(target, var, w), job, typer.echo):
            raise typer.Exit(1)


@app.command()
def destroy(target: Target = None, var: Values = [], auto_approve: Sure = False) -> None:  # noqa: B006
    """Take away all that was deployed to a target."""
    with _sentences():
        w = workspace()
        resolved = _resolved(target, var, w)
        if not auto_approve:
            raise BundleError(
                f"This takes away what is deployed to {resolved.target}: say --auto-approve if that is meant."
            )
        deploying.destroy(w, resolved, typer.echo)
