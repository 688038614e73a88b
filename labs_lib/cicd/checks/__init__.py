"""Checks of module 3."""
