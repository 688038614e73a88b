"""Clusters: whom they are granted to, their states by the workspace's clock, their routes."""
