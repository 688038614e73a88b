"""The local workspace: what Databricks does around Spark, as a service on loopback that the real databricks-sdk speaks to.

`client` and `process` are what a learner's notebook needs; everything else runs in the service's own process.
"""
