"""What arrives bit by bit under a seed, as files: made once, by the modules in `datasets/feeds`, and read from disk from then on."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
from pathlib import Path

import filelock

from datasets.store import code_digest

FEEDS = ("captured", "dimension", "dirty_sales")


def arrived(name: str, seed: int, cache: Path) -> Path:
    """Folder with the files of a feed below `cache`; made on first need, where its making is to be had.

    In grading a box sees the folder and not `datasets/feeds`. Raises ValueError for a feed that does not exist or was not made.
    """
    if name not in FEEDS:
        raise ValueError(f"There is no feed {name!r}; there are {', '.join(FEEDS)}.")
    source = Path(__file__).parent / "feeds" / f"{name}.py"
    if not source.is_file():
        made = sorted(cache.glob(f"{name}-feed-seed{seed}-*"))
        if not made:
            raise ValueError(f"The feed {name!r} of seed {seed} is not here, and can't be made here.")
        return made[-1]
    digest = hashlib.sha256(code_digest().encode() + source.read_bytes()).hexdigest()[:12]
    target = cache / f"{name}-feed-seed{seed}-{digest}"
    cache.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(cache / f".{target.name}.lock"):
        if not target.exists():
            scratch = cache / f".{target.name}.part"
            shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
            scratch.mkdir()
            for file, content in importlib.import_module(f"datasets.feeds.{name}").files(seed).items():
                (scratch / file).write_bytes(content)
            os.replace(scratch, target)
    return target
