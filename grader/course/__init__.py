"""Notebooks as sources: where they lie, how they are built, and whether what is committed is what building gives."""
