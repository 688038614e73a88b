"""Tables as content: building, digesting, and keeping them on disk as Delta or Parquet."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake

from datasets.source import source_version
from datasets.tables import TABLES, TableSpec

Format = Literal["delta", "parquet"]


def build(name: str, seed: int = 0, scale: float | None = None) -> pa.Table:
    """A course table. The same arguments give the same content on any machine.

    Raises ValueError for a table, seed or scale that does not exist.
    """
    spec, scale = _checked(name, seed, scale)
    frame = spec.function(seed, scale)
    return pa.Table.from_pandas(
        _with_zone(frame[spec.schema.names]), schema=spec.schema, preserve_index=False
    )


def materialise(name: str, seed: int, scale: float | None, format: Format, cache: Path) -> Path:
    """Folder of a table written as Delta or Parquet below `cache`; made once, whatever process asks first.

    The folder's name holds a digest of the code and the source data, so a change of either makes a new one. Raises
    ValueError for bad arguments, and OSError with a sentence when the disk is full.
    """
    spec, scale = _checked(name, seed, scale)
    if format not in get_args(Format):
        raise ValueError(f"There is no format {format!r}; there are delta and parquet.")
    target = cache / f"{name}-seed{seed}-scale{scale:g}-{format}-{code_digest()}"
    cache.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return target
    with filelock.FileLock(cache / f".{target.name}.lock"):
        if target.exists():  # another process was faster
            return target
        scratch = cache / f".{target.name}.part"
        shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
        try:
            _write(build(name, seed, scale), scratch, format, spec.files)
        except OSError as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if error.errno == errno.ENOSPC:
                raise OSError(
                    errno.ENOSPC, f"The disk that holds {cache} is full; free some space and try again."
                ) from None
            raise
        os.replace(scratch, target)
    return target


def content_digest(table: pa.Table) -> str:
    """SHA-256 of a table's content: names, types and values, independent of chunks, files and library versions."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].combine_chunks()
        digest.update(f"{name} {column.type}\n".encode())
        valid = np.asarray(column.is_valid())
        digest.update(np.packbits(valid).tobytes())
        if pa.types.is_string(column.type):
            hashed = pd.util.hash_array(
                column.fill_null("").to_numpy(zero_copy_only=False).astype(object), categorize=True
            )
            digest.update(hashed.astype("<u8").tobytes())
        elif pa.types.is_floating(column.type):
            digest.update(column.fill_null(0).to_numpy(zero_copy_only=False).astype("<f8").tobytes())
        else:
            whole = column.cast(pa.int32()) if pa.types.is_date(column.type) else column
            digest.update(
                whole.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
            )
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Digest of this package's code and of the source data's version."""
    digest = hashlib.sha256(source_version().encode())
    for file in sorted(resources.files("datasets").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _checked(name: str, seed: int, scale: float | None) -> tuple[TableSpec, float]:
    if name not in TABLES:
        raise ValueError(f"There is no course table {name!r}; there are {', '.join(sorted(TABLES))}.")
    spec = TABLES[name]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError(f"The seed {seed!r} is no whole number from 0 to 2147483647.")
    scale = spec.default_scale if scale is None else scale
    low, high = spec.scales
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not low <= scale <= high:
        raise ValueError(f"Scale {scale!r} of {name} is outside {low:g} to {high:g}.")
    return spec, float(scale)


def _with_zone(frame: pd.DataFrame) -> pd.DataFrame:
    naive = [
        column
        for column, kind in frame.dtypes.items()
        if str(kind).startswith("datetime64") and "UTC" not in str(kind)
    ]
    return frame.assign(
        **{str(column): frame[column].dt.floor("us").dt.tz_localize("UTC") for column in naive}
    )


def _write(table: pa.Table, folder: Path, format: Format, files: int) -> None:
    rows = -(-table.num_rows // files)
    parts = [table.slice(start, rows) for start in range(0, table.num_rows, rows)]
    if format == "parquet":
        folder.mkdir()
        for number, part in enumerate(parts):
            pq.write_table(part, folder / f"part-{number:05}.parquet", compression="zstd")
        return
    for number, part in enumerate(parts):  # a commit a file, as data that arrives in batches has
        write_deltalake(folder, part, mode="error" if number == 0 else "append")
