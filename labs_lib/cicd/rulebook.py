"""Running a learner's quality rules over tables, in a child process of the judge's (`Observer.program`).

This file is that child's program as a whole, so it uses the standard library alone at its top. Which table is clean and which is damaged is not known here.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

LINES = (
    "store_id int, household_id int, basket_id long, product_id int, quantity int, paid double, "
    "transaction_timestamp timestamp, transaction_date date"
)
HOUSEHOLDS = "household_id int, email string"


class Rules:
    """The learner's package, and Spark."""

    def __init__(self, files: Mapping[str, str]) -> None:
        root = Path("retail").absolute()
        for path, text in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        sys.path.insert(0, str(root / "src"))
        os.chdir(root)
        self._check = importlib.import_module("retail.quality").check_quality

    def found(self, lines: Sequence[Sequence[Any]], households: Sequence[Sequence[Any]], today: str) -> Any:
        """What `check_quality` returns for these rows."""
        from labs_lib.engine import session

        spark = session.connection().spark
        rows = [
            [*row[:6], datetime.fromisoformat(row[6]), datetime.fromisoformat(row[6]).date()] for row in lines
        ]
        of_lines = spark.createDataFrame(rows, LINES)
        of_households = spark.createDataFrame([list(row) for row in households], HOUSEHOLDS)
        found = self._check(of_lines, of_households, date.fromisoformat(today))
        return {str(name): int(rows) for name, rows in found.items()}
