"""The course's bundle tool: `databricks.yml` read, resolved for a target, and deployed to a workspace."""
