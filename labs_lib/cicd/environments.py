"""What the platform team says of the environments: a file that a bundle includes, and that is theirs to change; and the two programs that jobs run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets.variation import generator

FILE = "environments.yml"
TARGETS = ("dev", "qa", "prod")
NODES = ("m5.xlarge", "m5.2xlarge", "r5.xlarge", "m5.4xlarge")
_PEOPLE = ("retail-oncall", "data-duty", "sales-night", "store-ops", "till-watch")

_LOAD = '''\
"""What the job `daily` runs: the package lies beside it, in src/."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from retail.pipeline import main  # noqa: E402

main()
'''
_SMOKE = '''\
"""What the job `smoke` runs: whether what was deployed can be loaded at all. It touches no table."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from retail import functions, pipeline  # noqa: E402

for name in ("clean_households", "latest_lines", "price_lines", "add_products"):
    assert callable(getattr(functions, name)), name
assert callable(pipeline.run)
print("smoke:", sys.argv[1:])
'''
PROGRAMS = {"jobs/load_day.py": _LOAD, "jobs/smoke.py": _SMOKE}


def environments(seed: int, draw: str = "") -> dict[str, dict[str, Any]]:
    """The values of the variables by target. Another `draw` has other values of the same variables."""
    random = generator(seed, f"environments {draw}")
    workers = sorted(random.choice(range(1, 25), 3, replace=False).tolist())
    nodes = random.choice(NODES, 3, replace=False).tolist()
    names = random.choice(_PEOPLE, 2, replace=False).tolist()
    told: dict[str, dict[str, Any]] = {}
    for n, target in enumerate(TARGETS):
        hour, minute, number = (int(random.integers(*bounds)) for bounds in ((1, 7), (1, 60), (10, 99)))
        told[target] = {
            "workers": int(workers[n]),
            "node_type": str(nodes[n]),
            "source_schema": f"{target}_{number}.raw",
            "target_schema": f"{target}_{number}.retail",
            "cron": f"0 {minute} {hour} * * ?",
        }
        if target != "dev":
            told[target]["alerts"] = f"{names[n - 1]}@{target}.example.com"
    return told


def environments_file(told: dict[str, dict[str, Any]]) -> str:
    """The file."""
    lines = [
        "# Kept by the platform team: what differs between the environments. It may be another tomorrow.",
        "targets:",
    ]
    for target, values in told.items():
        lines += [
            f"  {target}:",
            "    variables:",
            *(f"      {name}: {value}" for name, value in values.items()),
        ]
    return "\n".join(lines) + "\n"


def lay_environments(project: Path, seed: int) -> dict[str, dict[str, Any]]:
    """Write the platform team's file, and the programs of the jobs, into the project; returns what the file says."""
    told = environments(seed)
    for path, text in {FILE: environments_file(told), **PROGRAMS}.items():
        target = Path(project) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return told
