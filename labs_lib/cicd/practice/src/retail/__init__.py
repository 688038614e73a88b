"""The shop's sales."""
