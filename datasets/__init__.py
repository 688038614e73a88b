"""The course's tables: real data, varied by a seed. `build` gives content, `materialise` files."""

from datasets.arrivals import FEEDS, arrived
from datasets.store import build, content_digest, materialise
from datasets.tables import TABLES, TableSpec

__all__ = ["FEEDS", "TABLES", "TableSpec", "arrived", "build", "content_digest", "describe", "materialise"]


def describe() -> list[TableSpec]:
    """All course tables, by name."""
    return [TABLES[name] for name in sorted(TABLES)]
