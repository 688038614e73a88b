"""pyspark's own ways to a session, led to the lab's: `SparkSession.builder.getOrCreate()`, as tutorials and Databricks notebooks have it.

By itself pyspark would ask for an address (or start a Spark of its own) where the lab has a session already.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import pyspark.sql
from pyspark.errors import PySparkException
from pyspark.sql.connect.session import SparkSession

PYSPARKS_OWN = pyspark.sql.SparkSession.Builder
# Where Spark runs and what it is called there: a server that runs already has decided both.
NOT_SETTINGS = {"spark.remote", "spark.master", "spark.app.name", "spark.api.mode"}


def lead_to(session: Callable[[], SparkSession], address: str) -> None:
    """From now on let `pyspark.sql.SparkSession.builder` give the session that `session` returns, with the settings asked for.

    `address` is that session's server. Only `create()` for the address of another server gives a session there.
    """

    class Builder(PYSPARKS_OWN):
        def _validate_startup_urls(self) -> None:
            """Let a master be named beside an address: neither starts anything here."""

        def getOrCreate(self) -> pyspark.sql.SparkSession:
            found = session()
            if ignored := apply(found, self._options):
                print(
                    f"This is the lab's Spark session, without {', '.join(ignored)}: the lab's server runs already, "
                    "and what only a start of Spark can set stays as it is."
                )
            return cast(pyspark.sql.SparkSession, found)

        def create(self) -> pyspark.sql.SparkSession:
            wanted = self._options.get("spark.remote", "local")
            if wanted.startswith("local") or _place(wanted) == _place(address):
                return self.getOrCreate()
            return super().create()

    Builder.__qualname__ = "SparkSession.Builder"
    pyspark.sql.SparkSession.Builder = Builder  # type: ignore[misc]


def apply(spark: SparkSession, options: Mapping[str, Any]) -> list[str]:
    """Set options of a builder on a session that is there; the names of those that can't be set any more are returned.

    Raises what Spark raises for a value that a setting can't have.
    """
    ignored: list[str] = []
    for name, value in options.items():
        if name in NOT_SETTINGS or spark.conf.get(name, None) == value:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                spark.conf.set(name, value)
        except PySparkException as error:
            if not str(error.getCondition()).startswith("CANNOT_MODIFY"):
                raise
            ignored.append(name)
    return ignored


def _place(address: str) -> tuple[str, int]:
    """Machine and port of an `sc://` address; the port is Spark Connect's usual one where none is named."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    return ("localhost" if host in {"127.0.0.1", "::1"} else host), parts.port or 15002
