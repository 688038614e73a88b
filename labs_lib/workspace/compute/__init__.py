"""Compute: policies, pools, clusters and what they used. Rules, which are pure, apart from routes."""
