"""A project to try a release command on: the practice project with a bundle of two targets, whose job `smoke` says whether what was deployed works."""

from __future__ import annotations

from pathlib import Path

from labs_lib.cicd.environments import PROGRAMS
from labs_lib.cicd.practice import PRACTICE
from labs_lib.cicd.project import project_folder

NAME = "corner-shop"
_MAIN = """\
bundle:
  name: corner-shop

variables:
  workers:
    default: 1

targets:
  dev:
    mode: development
    default: true
    workspace:
      root_path: /Shared/corner-shop/dev
  prod:
    mode: production
    variables:
      workers: 4
    workspace:
      root_path: /Shared/corner-shop/prod

include:
  - resources/*.yml
"""
_JOBS = """\
resources:
  jobs:
    daily:
      name: corner-shop daily
      schedule:
        quartz_cron_expression: 0 30 4 * * ?
        timezone_id: UTC
      tasks:
        - task_key: load
          new_cluster:
            spark_version: 17.3.x-scala2.13
            node_type_id: m5.xlarge
            num_workers: ${var.workers}
          spark_python_task:
            python_file: ../jobs/load_day.py
    smoke:
      name: corner-shop smoke
      tasks:
        - task_key: smoke
          spark_python_task:
            python_file: ../jobs/smoke.py
"""
_SMOKE = """\
\"\"\"What the job `smoke` runs: whether what was deployed can be loaded and adds up at all.\"\"\"

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from retail.receipt import receipt  # noqa: E402

assert receipt([("milk", 1, 120)])["total"] == 120
print("a receipt adds up")
"""
RELEASED: dict[str, str] = {
    **{
        path: text
        for path, text in PRACTICE.items()
        if path.startswith(("src/", "tests/")) or path == "pyproject.toml"
    },
    "databricks.yml": _MAIN,
    "resources/jobs.yml": _JOBS,
    "jobs/load_day.py": PROGRAMS["jobs/load_day.py"],
    "jobs/smoke.py": _SMOKE,
}


def lay_releases(folder: Path | str | None = None) -> Path:
    """Write the project into a folder (`corner-shop/` beside the learner's own project), as it was at first, and return its path. What else is there stays."""
    folder = project_folder().parent / NAME if folder is None else folder
    for path, text in RELEASED.items():
        target = Path(folder) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return Path(folder)
