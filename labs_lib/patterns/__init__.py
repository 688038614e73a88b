"""Module 2, patterns: its checks, feeds and tools."""
