terraform_files = project.parent / "other-infrastructure"
terraform_files.mkdir(exist_ok=True)
_ = (terraform_files / "all.tf").write_text('''\
terraform {
  required_version = ">= 1.5"
  required_providers {
    databricks = { source = "labs.local/course/databricks", version = "~> 1.0" }
  }
}
provider "databricks" {}
variable "teams" { type = any }
variable "warehouse_password" { sensitive = true }
locals {
  names = toset(keys(var.teams))
}
resource "databricks_secret_scope" "it" {
  name                     = "retail"
  initial_manage_principal = null
  lifecycle { prevent_destroy = true }
}
resource "databricks_secret" "it" {
  scope        = databricks_secret_scope.it.id
  key          = "warehouse_password"
  string_value = var.warehouse_password
}
resource "databricks_group" "of" {
  for_each     = local.names
  display_name = each.value
}
resource "databricks_secret_acl" "of" {
  for_each   = databricks_group.of
  scope      = databricks_secret_scope.it.name
  principal  = each.value.display_name
  permission = "READ"
}
resource "databricks_instance_pool" "of" {
  for_each                              = var.teams
  instance_pool_name                    = each.key
  node_type_id                          = each.value["node_type"]
  max_capacity                          = each.value["max_workers"] * 2
  idle_instance_autotermination_minutes = each.value["idle_minutes"]
  custom_tags                           = { team = each.key }
}
resource "databricks_permissions" "pool" {
  for_each         = databricks_instance_pool.of
  instance_pool_id = each.value.instance_pool_id
  access_control {
    group_name       = databricks_group.of[each.key].display_name
    permission_level = "CAN_ATTACH_TO"
  }
}
resource "databricks_cluster_policy" "of" {
  for_each   = local.names
  name       = each.value
  definition = <<-EOT
    {"instance_pool_id": {"type": "fixed", "value": "${databricks_instance_pool.of[each.key].instance_pool_id}", "hidden": true},
     "num_workers": {"type": "range", "minValue": 1, "maxValue": ${var.teams[each.key].max_workers}}}
  EOT
  max_clusters_per_user = 20
}
resource "databricks_permissions" "policy" {
  for_each          = databricks_cluster_policy.of
  cluster_policy_id = each.value.policy_id
  access_control {
    group_name       = databricks_group.of[each.key].display_name
    permission_level = "CAN_USE"
  }
}
resource "databricks_job" "of" {
  for_each            = local.names
  name                = format("%s load", each.value)
  max_concurrent_runs = 1
  tags                = { team = each.value }
  task {
    task_key = "it"
    new_cluster {
      num_workers      = 1
      spark_version    = "17.3.x-scala2.13"
      instance_pool_id = databricks_instance_pool.of[each.value].instance_pool_id
      policy_id        = databricks_cluster_policy.of[each.value].policy_id
    }
    spark_python_task {
      python_file = "/Shared/retail/load_team.py"
      parameters  = ["--team", each.value]
    }
  }
  email_notifications {
    on_failure = ["${each.value}@example.com"]
  }
}
resource "databricks_permissions" "job" {
  for_each = databricks_job.of
  job_id   = each.value.id
  access_control {
    group_name       = databricks_group.of[each.key].display_name
    permission_level = "CAN_MANAGE_RUN"
  }
}
output "pools" {
  value = { for name, pool in databricks_instance_pool.of : name => pool.id }
}
''')
