"""What a seed changes. Seed 0 is the data as it is; any other one keeps its shape and changes every figure.

Identifiers are permuted among themselves, alike in all tables, so joins and skew stay; about one household in twenty
is left out; prices move per department; dates shift by whole weeks.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pandas as pd

KEPT_HOUSEHOLDS = 0.95
PRICE_FACTORS = (0.8, 1.25)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A random generator for one purpose. PCG64's stream is the same on every machine."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(purpose.encode())]))


def relabel(column: pd.Series, known: npt.NDArray[np.int64], seed: int, kind: str) -> npt.NDArray[np.int64]:
    """The column with each identifier replaced by another one of `known` (sorted, unique), one to one."""
    shuffled = known[generator(seed, f"relabel {kind}").permutation(len(known))]
    return shuffled[np.searchsorted(known, column.to_numpy(dtype=np.int64))]


def kept(identifiers: npt.NDArray[np.int64], seed: int, fraction: float, kind: str) -> npt.NDArray[np.bool_]:
    """Which identifiers stay when only a fraction of all does; the same identifier always has the same fate."""
    if fraction >= 1:
        return np.ones(len(identifiers), dtype=np.bool_)
    return _mix(identifiers.astype(np.uint64), zlib.crc32(f"{kind} {seed}".encode())) < np.uint64(
        fraction * 2**63
    ) * np.uint64(2)


def household_fraction(seed: int) -> float:
    """Share of households that a seed keeps."""
    return 1.0 if seed == 0 else KEPT_HOUSEHOLDS


def price_factors(departments: pd.Series, seed: int) -> npt.NDArray[np.float64]:
    """A factor for each row's price, by its department."""
    if seed == 0:
        return np.ones(len(departments))
    codes, names = pd.factorize(departments.fillna(""), sort=True)
    return generator(seed, "prices").uniform(*PRICE_FACTORS, size=len(names))[codes]


def shift(dates: pd.Series, seed: int) -> pd.Series:
    """Dates or timestamps moved by a number of whole weeks, from 1 to 52."""
    weeks = 0 if seed == 0 else int(generator(seed, "weeks").integers(1, 53))
    return dates + pd.Timedelta(weeks=weeks)


def _mix(values: npt.NDArray[np.uint64], key: int) -> npt.NDArray[np.uint64]:
    """splitmix64's finalizer (Steele, Lea and Flood 2014), vectorised; overflow wraps as intended."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
