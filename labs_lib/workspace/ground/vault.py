"""What the store keeps sealed: secrets, and the addresses and passwords of notification destinations. The key lies beside the store."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet


def seal(home: Path, value: bytes) -> bytes:
    """The value as the store may keep it."""
    return _vault(home).encrypt(value)


def opened(home: Path, sealed: bytes) -> bytes:
    """The value again. Raises cryptography's InvalidToken if the key is another one than it was sealed with."""
    return _vault(home).decrypt(sealed)


@lru_cache(maxsize=8)
def _vault(home: Path) -> Fernet:
    """The workspace's key, made on first need in a file that only the user can read."""
    path = home / "vault.key"
    if not path.exists():
        scratch = path.with_suffix(".new")
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    return Fernet(path.read_bytes())
