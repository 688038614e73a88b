"""Module 1, optimization: its checks and tools."""
