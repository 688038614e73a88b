"""Terraform for a workspace: the command, and a provider of the course's own with the attribute names of `databricks/databricks`."""
