"""Who shares the workspace: the teams that Terraform is given, as a file of variables beside the learner's own files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.variation import generator

FILE = "teams.auto.tfvars.json"  # Terraform reads it by its name
SCOPE, KEY = "retail", "warehouse_password"
NODES = ("m5.large", "m5.xlarge", "m5.2xlarge", "r5.xlarge")
_NAMES = ("bakery", "checkout", "forecast", "logistics", "loyalty", "pricing")
_COMING = ("returns", "stores")  # behind all others in any order of names: a list's places move

Teams = Mapping[str, Mapping[str, Any]]


def teams(seed: int, draw: str = "") -> dict[str, dict[str, Any]]:
    """Three teams, each with the most workers of a cluster, the pool's idle minutes and its machines."""
    random = generator(seed, f"teams {draw}")
    names = sorted(random.choice(_NAMES, 3, replace=False).tolist())
    return {str(name): _drawn(random) for name in names}


def tomorrow(seed: int, draw: str, today: Teams) -> dict[str, dict[str, Any]]:
    """The same when the first team has left, another has come, and one may have more."""
    random = generator(seed, f"tomorrow {draw}")
    _, second, third = today
    new = str(random.choice(_COMING))
    more = {**today[second], "max_workers": today[second]["max_workers"] + 3}
    return {second: more, third: dict(today[third]), new: _drawn(random)}


def _drawn(random: Any) -> dict[str, Any]:
    return {
        "max_workers": int(random.integers(2, 12)),
        "idle_minutes": int(random.integers(5, 60)),
        "node_type": str(random.choice(NODES)),
    }


def teams_file(told: Teams) -> str:
    """The file of variables."""
    return json.dumps({"teams": told}, indent=2) + "\n"


def lay_teams(folder: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Write the file into Terraform's folder; returns what it says."""
    told = teams(seed)
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / FILE).write_text(teams_file(told), encoding="utf-8")
    return told
