"""Cluster policies: definitions, the rules that they make, their routes."""
