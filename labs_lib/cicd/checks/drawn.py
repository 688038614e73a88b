"""What a judge draws is nobody's to foresee: variants of what is tested, and the order in which a child meets them."""

from __future__ import annotations

import secrets

import numpy as np

from datasets.variation import generator
from labs_lib.checking.observer import Observer


def draw(observer: Observer, what: str) -> np.random.Generator:
    """Chance for one step: in a notebook by the seed alone, so that its cards can be replayed; for each judging anew."""
    return generator(observer.lab.seed, what if observer.trusting else f"{what} {secrets.token_hex(8)}")
