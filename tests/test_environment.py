"""environment.yml, pyproject.toml and requirements.lock say the same."""

from __future__ import annotations

import itertools
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for name, number in re.findall(r"^([A-Za-z0-9_.\-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", LOCK, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(Version(number))
    return found


def test_every_requirement_is_locked_within_its_bounds() -> None:
    pins = locked()
    for line in [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]:
        requirement = Requirement(line)
        versions = pins.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements.lock: run `make lock`"
        assert all(number in requirement.specifier for number in versions), f"{line}: locked is {versions}"


def test_the_lock_is_hashed_throughout_and_names_no_host() -> None:
    pins = re.findall(r"^[A-Za-z0-9_.\-]+(?:\[[\w,-]+\])?==.*$", LOCK, re.MULTILINE)
    assert pins and all(pin.endswith("\\") for pin in pins)
    assert "://" not in LOCK


def test_what_is_installed_is_what_is_locked() -> None:
    for name in ("pyspark", "delta-spark", "nbgrader", "nbval", "papermill", "jupyterlab", "deltalake"):
        assert Version(version(name)) in locked()[name]


def test_conda_users_get_the_same() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    conda = {
        item.split("=")[0]: item.split("=")[-1]
        for item in environment["dependencies"]
        if isinstance(item, str)
    }
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    assert Version(conda["python"] + ".0") in SpecifierSet(PROJECT["requires-python"])
    assert "openjdk" not in conda, "the lock pins a Java; a second one would be used in its place"
    assert pip == ["--requirement requirements.lock", "--editable ."]


def test_the_makefile_asks_for_the_python_that_the_project_asks_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info < (3, 14)" in makefile
