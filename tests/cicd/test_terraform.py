"""Terraform with the course's provider, each command for real, in a child whose requests lead to a workspace in this process."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from labs_lib import registry
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.cicd.checks.workshop import Ran, WorkspaceRelay, opened, token_of
from labs_lib.cicd.terraform.command import mirror
from labs_lib.cicd.terraform.provider import COOKIE
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.trial import Trial, trial

pytestmark = pytest.mark.ledger  # a second or more for each command

HEAD = """
terraform {
  required_providers {
    databricks = { source = "labs.local/course/databricks" }
  }
}
variable "teams" {
  type = map(object({ idle = number }))
}
variable "password" {
  type      = string
  sensitive = true
}
"""
BODY = """
resource "databricks_group" "team" {
  for_each     = var.teams
  display_name = each.key
}
resource "databricks_instance_pool" "team" {
  for_each                              = var.teams
  instance_pool_name                    = each.key
  node_type_id                          = "m5.xlarge"
  max_capacity                          = 10
  idle_instance_autotermination_minutes = each.value.idle
}
resource "databricks_cluster_policy" "team" {
  for_each   = var.teams
  name       = each.key
  definition = jsonencode({ instance_pool_id = { type = "fixed", value = databricks_instance_pool.team[each.key].id } })
}
resource "databricks_permissions" "policy" {
  for_each          = var.teams
  cluster_policy_id = databricks_cluster_policy.team[each.key].id
  access_control {
    group_name       = databricks_group.team[each.key].display_name
    permission_level = "CAN_USE"
  }
}
resource "databricks_permissions" "job" {
  for_each = var.teams
  job_id   = databricks_job.team[each.key].id
  access_control {
    user_name        = "learner@example.com"
    permission_level = "IS_OWNER"
  }
  access_control {
    group_name       = databricks_group.team[each.key].display_name
    permission_level = "CAN_MANAGE_RUN"
  }
}
resource "databricks_job" "team" {
  for_each = var.teams
  name     = "${each.key} load"
  job_cluster {
    job_cluster_key = "main"
    new_cluster {
      spark_version    = "17.3.x-scala2.13"
      instance_pool_id = databricks_instance_pool.team[each.key].id
      policy_id        = databricks_cluster_policy.team[each.key].id
      autoscale {
        min_workers = 1
        max_workers = 2
      }
    }
  }
  schedule {
    quartz_cron_expression = "0 0 5 * * ?"
    timezone_id            = "UTC"
  }
  email_notifications {
    on_failure = ["ops@example.com"]
  }
  task {
    task_key        = "load"
    job_cluster_key = "main"
    spark_python_task {
      python_file = "/Shared/load.py"
      parameters  = ["--team", each.key]
    }
  }
  task {
    task_key        = "check"
    job_cluster_key = "main"
    depends_on {
      task_key = "load"
    }
    notebook_task {
      notebook_path   = "/Shared/check"
      base_parameters = { team = each.key }
    }
  }
}
resource "databricks_secret_scope" "retail" {
  name = "retail"
  lifecycle {
    prevent_destroy = true
  }
}
resource "databricks_secret" "password" {
  scope        = databricks_secret_scope.retail.name
  key          = "password"
  string_value = var.password
}
resource "databricks_secret_acl" "users" {
  scope      = databricks_secret_scope.retail.name
  principal  = "users"
  permission = "READ"
}
"""
PASSWORD = "correct-horse-7"


class Terraform:
    """Commands in one folder of a child."""

    def __init__(self, w: Trial, relay: WorkspaceRelay, shop: Any) -> None:
        self.w, self.relay, self.shop = w, relay, shop
        self.environment = {
            "DATABRICKS_HOST": shop.address,
            "DATABRICKS_TOKEN": token_of(w, LEARNER),
            "TF_VAR_password": PASSWORD,
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",  # without a Terraform of the machine's own
        }

    def run(self, *words: str) -> Ran:
        ran: Ran = self.shop.run(["labs", "terraform", *words], "infra", self.environment, engine=True)
        return ran

    def apply(self, teams: dict[str, int]) -> Ran:
        told = {name: {"idle": idle} for name, idle in teams.items()}
        return self.run("apply", "-auto-approve", f"-var=teams={json.dumps(told)}")

    def pools(self) -> dict[str, Any]:
        there = self.w.ask("GET", "/api/2.0/instance-pools/list")["instance_pools"]
        return {each["instance_pool_name"]: each for each in there}

    def jobs(self) -> dict[str, Any]:
        there = self.w.ask("GET", "/api/2.2/jobs/list", limit=100, expand_tasks=True)["jobs"]
        return {each["settings"]["name"]: each for each in there}


@pytest.fixture(scope="module")
def terraform() -> Iterator[Terraform]:
    lab: Any = None
    observer = Observer(registry.step("3b.3"), Evidence("3b.3", 0), lab)
    with ExitStack() as stack:
        w = stack.enter_context(trial({}))
        relay = WorkspaceRelay(w)
        shop = stack.enter_context(opened(observer, relay))
        shop.lay("infra", {"main.tf": HEAD + BODY})
        made = Terraform(w, relay, shop)
        assert made.run("init").well
        first = made.apply({"sales": 10, "ops": 20})
        assert first.well, first
        assert PASSWORD not in first.out
        yield made


def test_what_is_declared_is_there(terraform: Terraform) -> None:
    w = terraform.w
    assert terraform.pools()["ops"]["idle_instance_autotermination_minutes"] == 20
    settings = terraform.jobs()["sales load"]["settings"]
    assert settings["tasks"][1]["notebook_task"] == {
        "notebook_path": "/Shared/check",
        "base_parameters": {"team": "sales"},
    }
    assert settings["job_clusters"][0]["new_cluster"]["autoscale"] == {"min_workers": 1, "max_workers": 2}
    kept = w.ask("GET", "/api/2.0/secrets/get", scope="retail", key="password")["value"]
    assert base64.b64decode(kept).decode() == PASSWORD
    policy = next(
        each for each in w.ask("GET", "/api/2.0/policies/clusters/list")["policies"] if each["name"] == "ops"
    )
    told = w.ask("GET", f"/api/2.0/permissions/cluster-policies/{policy['policy_id']}")["access_control_list"]
    assert any(each.get("group_name") == "ops" for each in told)


def test_the_same_again_asks_for_nothing(terraform: Terraform) -> None:
    terraform.apply({"sales": 10, "ops": 20})
    terraform.relay.asked.clear()
    assert "No changes" in terraform.apply({"sales": 10, "ops": 20}).out
    assert {each.method for each in terraform.relay.asked} == {"GET"}


def test_what_was_done_by_hand_is_shown_and_mended(terraform: Terraform) -> None:
    terraform.apply({"sales": 10, "ops": 20})
    w, pool = terraform.w, terraform.pools()["ops"]
    edited = {name: pool[name] for name in ("instance_pool_id", "instance_pool_name", "node_type_id")}
    w.ask("POST", "/api/2.0/instance-pools/edit", **edited, idle_instance_autotermination_minutes=99)
    w.ask("POST", "/api/2.2/jobs/delete", job_id=terraform.jobs()["sales load"]["job_id"])
    ops = terraform.jobs()["ops load"]["job_id"]
    w.ask(
        "POST",
        "/api/2.2/jobs/update",
        job_id=ops,
        new_settings={"timeout_seconds": 60, "max_concurrent_runs": 3},
    )
    everybody = [{"group_name": "users", "permission_level": "CAN_MANAGE"}]
    w.ask("PATCH", f"/api/2.0/permissions/jobs/{ops}", access_control_list=everybody)
    w.ask("POST", "/api/2.0/secrets/delete", scope="retail", key="password")
    teams = json.dumps({"sales": {"idle": 10}, "ops": {"idle": 20}})
    plan = terraform.run("plan", "-detailed-exitcode", f"-var=teams={teams}")
    assert plan.code == 2
    assert "99 -> 20" in plan.out
    assert 'group_name       = "users" -> null' in plan.out
    assert terraform.apply({"sales": 10, "ops": 20}).well
    assert terraform.pools()["ops"]["idle_instance_autotermination_minutes"] == 20
    assert set(terraform.jobs()) == {"sales load", "ops load"}
    assert terraform.jobs()["ops load"]["settings"]["timeout_seconds"] == 0
    assert terraform.run("plan", "-detailed-exitcode", f"-var=teams={teams}").code == 0


def test_teams_come_and_go_and_the_others_stay(terraform: Terraform) -> None:
    terraform.apply({"sales": 10, "ops": 20})
    before = terraform.pools()["ops"]["instance_pool_id"], terraform.jobs()["ops load"]["job_id"]
    assert terraform.apply({"ops": 20, "new": 5}).well
    assert set(terraform.pools()) == {"ops", "new"}
    assert (terraform.pools()["ops"]["instance_pool_id"], terraform.jobs()["ops load"]["job_id"]) == before


def test_what_cant_be_changed_is_made_anew(terraform: Terraform) -> None:
    terraform.apply({"ops": 20})
    before = terraform.pools()["ops"]["instance_pool_id"]
    terraform.shop.lay("infra", {"main.tf": (HEAD + BODY).replace("m5.xlarge", "m5.2xlarge")})
    plan = terraform.apply({"ops": 20})
    assert plan.well, plan
    assert "forces replacement" in plan.out
    assert terraform.pools()["ops"]["node_type_id"] == "m5.2xlarge"
    assert terraform.pools()["ops"]["instance_pool_id"] != before
    terraform.shop.lay("infra", {"main.tf": HEAD + BODY})


def test_what_is_protected_refuses_to_be_destroyed(terraform: Terraform) -> None:
    terraform.apply({"ops": 20})
    ran = terraform.run("destroy", "-auto-approve", '-var=teams={"ops":{"idle":20}}')
    assert ran.code == 1
    assert "prevent_destroy" in ran.err
    assert set(terraform.pools()) == {"ops"}


def test_what_is_there_already_is_taken_over(terraform: Terraform) -> None:
    terraform.apply({"ops": 20})
    made = terraform.w.ask(
        "POST", "/api/2.0/instance-pools/create", instance_pool_name="sales", node_type_id="m5.xlarge",
        max_capacity=10, idle_instance_autotermination_minutes=10,
    )["instance_pool_id"]  # fmt: skip
    teams = '-var=teams={"ops":{"idle":20},"sales":{"idle":10}}'
    ran = terraform.run("import", teams, 'databricks_instance_pool.team["sales"]', made)
    assert ran.well, ran
    assert terraform.apply({"ops": 20, "sales": 10}).well
    assert terraform.pools()["sales"]["instance_pool_id"] == made
    ran = terraform.run("import", teams, 'databricks_group.team["ops"]', "nobody")
    assert not ran.well


def test_a_refusal_of_the_workspace_is_told(terraform: Terraform) -> None:
    terraform.shop.lay("infra", {"main.tf": (HEAD + BODY).replace("0 0 5 * * ?", "0 0 99 * * ?")})
    ran = terraform.apply({"ops": 20})
    terraform.shop.lay("infra", {"main.tf": HEAD + BODY})
    assert ran.code == 1
    assert "99" in ran.err


def test_without_a_token_the_provider_says_what_it_needs(terraform: Terraform) -> None:
    ran = terraform.shop.run(
        ["labs", "terraform", "plan", "-var=teams={}"],
        "infra",
        {**terraform.environment, "DATABRICKS_TOKEN": "garbage"},
        engine=True,
    )
    assert ran.code == 1
    assert "token" in ran.err.lower()


@pytest.mark.skipif(not (shutil.which("terraform") or shutil.which("tofu")), reason="none on the path")
def test_a_terraform_on_the_path_is_taken_first(terraform: Terraform) -> None:
    terraform.apply({"ops": 20})
    own = terraform.environment["PATH"]
    terraform.environment["PATH"] = (
        f"{own}:{Path(str(shutil.which('terraform') or shutil.which('tofu'))).parent}"
    )
    plan = terraform.run("plan", "-detailed-exitcode", '-var=teams={"ops":{"idle":21}}')
    terraform.environment["PATH"] = own
    assert plan.code == 2, plan
    assert "20 -> 21" in plan.out


def test_everything_that_was_made_can_be_taken_away(terraform: Terraform) -> None:
    terraform.shop.lay(
        "infra", {"main.tf": HEAD + BODY.replace("prevent_destroy = true", "prevent_destroy = false")}
    )
    terraform.apply({"ops": 20})
    ran = terraform.run("destroy", "-auto-approve", '-var=teams={"ops":{"idle":20}}')
    terraform.shop.lay("infra", {"main.tf": HEAD + BODY})
    assert ran.well, ran
    assert terraform.pools() == {}
    assert terraform.jobs() == {}
    assert terraform.w.ask("GET", "/api/2.0/secrets/scopes/list")["scopes"] == []


def test_a_provider_ends_with_its_terraform(tmp_path: Path) -> None:
    program = next(mirror(tmp_path).parent.rglob("terraform-provider-databricks_v*"))
    start = f"import os, subprocess, sys; subprocess.Popen([{str(program)!r}]); sys.stdin.read()"
    environment = {**os.environ, COOKIE[0]: COOKIE[1]}
    terraform = subprocess.Popen(
        [sys.executable, "-c", start],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert terraform.stdin
    assert terraform.stdout
    assert terraform.stdout.readline().startswith("1|6|")
    terraform.kill()
    assert terraform.stdout.read() == "", "its output is closed when it has ended, too"
    terraform.wait()
