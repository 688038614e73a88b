"""`labs bundle` and `labs terraform` as commands: options, sentences and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from labs_lib import settings
from labs_lib.cicd.bundle import commands
from labs_lib.cicd.checks.direct import Direct
from labs_lib.cicd.releases import lay_releases
from labs_lib.cicd.rest import Refused, Workspace, of_environment
from labs_lib.cicd.terraform import command
from labs_lib.errors import LabsError
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.trial import trial

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`labs bundle` in the folder of the project to release, on a trial workspace."""
    monkeypatch.chdir(lay_releases(tmp_path / "shop"))
    with trial({}) as w:
        monkeypatch.setattr(commands, "workspace", lambda: Direct(w, LEARNER))
        yield lambda *words: CliRunner().invoke(commands.app, words)


def test_a_bundle_from_validate_to_destroy(run: Run) -> None:
    assert "Validation OK!" in run("validate").output
    assert '"num_workers": 4' in run("validate", "-t", "prod", "-o", "json").output
    assert "jobs.daily: created" in run("deploy", "-t", "prod").output
    assert "jobs.daily: as it was" in run("deploy", "-t", "prod").output
    assert "corner-shop daily: deployed" in run("summary", "-t", "prod").output
    assert run("destroy", "-t", "prod").exit_code == 1
    assert "corner-shop daily: deployed" in run("summary", "-t", "prod").output
    assert run("destroy", "-t", "prod", "--auto-approve").exit_code == 0
    assert "corner-shop daily: not deployed" in run("summary", "-t", "prod").output


def test_values_come_from_options_and_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert '"num_workers": 9' in run("validate", "-t", "prod", "-o", "json", "--var", "workers=9").output
    monkeypatch.setenv("BUNDLE_VAR_workers", "8")
    assert '"num_workers": 8' in run("validate", "-t", "prod", "-o", "json").output
    assert '"num_workers": 9' in run("validate", "-t", "prod", "-o", "json", "--var", "workers=9").output
    monkeypatch.setenv("DATABRICKS_BUNDLE_TARGET", "prod")
    assert "target prod" in run("validate").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate", "-t", "live"), "There is no target 'live'; there are dev, prod."),
        (("validate", "--var", "workers"), "--var workers: it is --var name=value."),
        (("deploy", "--var", "worker=3"), "there is no variable worker; did you mean workers?"),
        (("run", "smoke"), "The job smoke is not deployed to dev; deploy first."),
        (("run", "nightly"), "The bundle has no job 'nightly'; it has daily, smoke."),
        (("destroy",), "say --auto-approve if that is meant"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_an_exit_code(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_folder_without_a_bundle_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert "There is no databricks.yml here" in run("validate").output


def test_labs_has_both_commands(tmp_path: Path) -> None:
    (tmp_path / "databricks.yml").write_text("bundle: {name: x}\ntargets: {dev: {}}\nresources: {job: {}}\n")
    environment = {**os.environ, "DATABRICKS_HOST": "http://127.0.0.1:9", "DATABRICKS_TOKEN": "x"}

    def labs(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "labs_lib.cli", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    done = labs("bundle", "validate")
    assert done.returncode == 1
    assert "databricks.yml, line 3: resources has no 'job'; did you mean 'jobs'?" in done.stderr
    assert "Usage: labs bundle" in labs("bundle", "--help").stdout
    assert "Terraform v" in labs("terraform", "version").stdout


def test_a_workspace_that_isnt_there_or_refuses_is_a_sentence() -> None:
    with pytest.raises(Refused, match=r"http://127\.0\.0\.1:9 gives no answer"):
        Workspace("http://127.0.0.1:9", "x").get("/api/2.2/jobs/list")
    assert of_environment({"DATABRICKS_HOST": "http://x"}) is None
    assert of_environment({"DATABRICKS_HOST": "http://x", "DATABRICKS_TOKEN": "y"}) == Workspace(
        "http://x", "y"
    )


def test_the_provider_lies_where_terraform_looks(tmp_path: Path) -> None:
    configuration = command.mirror(tmp_path / "mirror")
    assert str(tmp_path / "mirror") in configuration.read_text()
    (program,) = (tmp_path / "mirror").rglob("terraform-provider-databricks_v*")
    assert os.access(program, os.X_OK)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Terraform starts it" in done.stderr
    before = program.stat().st_mtime_ns
    command.mirror(tmp_path / "mirror")
    assert program.stat().st_mtime_ns == before


def test_terraforms_environment_asks_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABS_HOME", str(tmp_path))
    told = command.environment({"DATABRICKS_HOST": "http://x", "DATABRICKS_TOKEN": "y"})
    assert told["CHECKPOINT_DISABLE"] == "1"
    assert Path(told["TF_CLI_CONFIG_FILE"]).parent == settings.home() / "terraform"


def test_without_any_terraform_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.shutil, "which", lambda name: None)
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(command, "environment", lambda: dict[str, Any]())
    with pytest.raises(LabsError, match="no tofu and no terraform on the path"):
        command.run(["plan"])
