"""Step 3b.2: what a judge says of bundles that are right, and of those that are not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from labs_lib.cicd.bundle import resolving
from labs_lib.cicd.checks.bundle import judge_3b_2, observe_3b_2
from labs_lib.cicd.environments import (
    FILE,
    PROGRAMS,
    TARGETS,
    environments,
    environments_file,
    lay_environments,
)

MAIN = """\
bundle: {name: retail}
include: [environments.yml, resources/*.yml]
variables:
  workers: {}
  node_type: {}
  source_schema: {}
  target_schema: {}
  cron: {}
  alerts: {default: ""}
  cluster:
    type: complex
    default: {spark_version: 17.3.x-scala2.13, node_type_id: "${var.node_type}", num_workers: "${var.workers}"}
targets:
  dev: {mode: development, default: true}
  qa:
    presets: {trigger_pause_status: PAUSED}
    workspace: {root_path: "/Shared/retail/${bundle.target}"}
    resources: &told
      jobs: {daily: {email_notifications: {on_failure: ["${var.alerts}"]}}}
  prod:
    mode: production
    workspace: {root_path: "/Shared/retail/${bundle.target}"}
    resources: *told
"""
JOBS = """\
resources:
  jobs:
    daily:
      name: retail daily
      schedule: {quartz_cron_expression: "${var.cron}", timezone_id: UTC}
      tasks:
        - task_key: load
          new_cluster: ${var.cluster}
          spark_python_task:
            python_file: ../jobs/load_day.py
            parameters: [--source, "${var.source_schema}", --target, "${var.target_schema}", --day, "{{job.start_time.iso_date}}"]
    smoke:
      name: retail smoke
      tasks:
        - task_key: smoke
          new_cluster: ${var.cluster}
          spark_python_task: {python_file: ../jobs/smoke.py, parameters: [--target, "${var.target_schema}"]}
"""
GOOD = {"databricks.yml": MAIN, "resources/jobs.yml": JOBS}


def findings(files: dict[str, str], seed: int = 7, trusting: bool = False) -> dict[str, str]:
    """What is found where something isn't as it has to be."""
    observer: Any = SimpleNamespace(
        answer=lambda name: files, lab=SimpleNamespace(seed=seed), trusting=trusting
    )
    evidence: Any = SimpleNamespace(observed=observe_3b_2(observer))
    return {each.name: each.found for each in judge_3b_2(evidence) if not each.ok}


@pytest.mark.parametrize("seed", range(5))
def test_a_sound_bundle_has_all_of_it_under_any_seed(seed: int) -> None:
    assert findings(GOOD, seed) == {}
    assert findings({**GOOD, FILE: "targets: {dev: {variables: {workers: 99}}}"}, seed) == {}


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("mode: development, ", "", "development"),
        (", default: true", "", "the bundle"),
        ("presets: {trigger_pause_status: PAUSED}", "variables: {}", "the schedule"),
        ("mode: production\n", "variables: {}\n", "qa and prod"),
        ("${bundle.target}", "all", "qa and prod"),
        ("resources: *told", "variables: {}", "who is told"),
        ("${var.node_type}", "m5.xlarge", "the machines"),
        ("17.3.x", "16.4.x", "the machines"),
        ("workers: {}", "workers: {default: 3}\n  unused: {}", "the bundle"),
        ("name: retail daily", "name: retail ${bundle.target}", "the jobs"),
        ("../jobs/smoke.py", "../jobs/load_day.py", "the jobs"),
        ("--day, ", "", "the jobs"),
        ("    smoke:\n", "    other:\n", "the jobs"),
        ("timezone_id: UTC", "timezone_id: Europe/Berlin", "the schedule"),
        ("name: retail smoke", "name: retail smoke\n      schedule: {quartz_cron_expression: 0 0 1 * * ?, timezone_id: UTC}", "the schedule"),
        ("dev: {mode", "dev: {workspace: {root_path: /Shared/retail/dev}, mode", "development"),
    ],
)  # fmt: skip
def test_what_is_missing_is_found(old: str, new: str, finding: str) -> None:
    assert old in MAIN + JOBS
    found = findings(
        {path: text.replace(old, new, 1 if "target" not in old else -1) for path, text in GOOD.items()}
    )
    assert finding in found, found


def test_a_value_of_the_platform_teams_is_found_where_it_was_copied() -> None:
    told = environments(7)
    copied = MAIN.replace("variables:\n", f"variables:\n  note: {{default: {told['prod']['alerts']}}}\n", 1)
    assert "databricks.yml, line 4" in findings({**GOOD, "databricks.yml": copied})["one place for each fact"]


def test_a_job_for_each_target_is_found() -> None:
    cluster = (
        '{spark_version: 17.3.x-scala2.13, node_type_id: "${var.node_type}", num_workers: "${var.workers}"}'
    )
    twice = JOBS.replace("${var.cluster}", cluster)
    assert (
        "spark_version stands in"
        in findings({**GOOD, "resources/jobs.yml": twice})["one place for each fact"]
    )


def test_draws_differ_and_are_what_a_bundle_reads() -> None:
    assert environments(0) != environments(1)
    assert environments(0) != environments(0, "other")
    assert environments(0) == environments(0)
    for seed in range(20):
        told = environments(seed)
        bundle = resolving.load(
            {
                "databricks.yml": "bundle: {name: x}\ninclude: [environments.yml]\n",
                FILE: environments_file(told),
            }
        )
        assert list(bundle.targets) == list(TARGETS)
        assert len({each["workers"] for each in told.values()}) == 3


def test_the_programs_are_laid_beside_the_file(tmp_path: Any) -> None:
    assert lay_environments(tmp_path, 3) == environments(3)
    assert (tmp_path / FILE).read_text() == environments_file(environments(3))
    for path, text in PROGRAMS.items():
        assert (tmp_path / path).read_text() == text
        compile(text, path, "exec")
