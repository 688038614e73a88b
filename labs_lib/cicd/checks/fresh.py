"""What a judge draws must be nobody's to foresee: the seed, and what draws events and tickets, are in every notebook's reach."""

from __future__ import annotations

import secrets

from labs_lib.checking.observer import Observer


def fresh(observer: Observer) -> str:
    """The name of a draw: made up for each judging; in a notebook that of its seed, so that its cards can be replayed."""
    return f"notebook {observer.lab.seed}" if observer.trusting else f"fresh {secrets.token_hex(8)}"
