"""Variants of the pipeline: another right one, and mutants of how its parts are wired together, told by what they do wrong."""

from __future__ import annotations

from dataclasses import dataclass

from labs_lib.cicd.project import TEMPLATE

PATH = "src/retail/pipeline.py"
GIVEN = TEMPLATE[PATH]

IN_SQL = '''"""Sales lines of one day, from the source's tables to bronze, silver and gold."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail.functions import add_products, clean_households, latest_lines, price_lines

SILVER_KEY = ("basket_id", "product_id")


def run(spark: SparkSession, source: str, target: str, day: str) -> None:
    """Load one day."""
    load_bronze(spark, source, target, day)
    load_silver(spark, source, target, day)
    load_gold(spark, target)


def load_bronze(spark: SparkSession, source: str, target: str, day: str) -> None:
    """Append what came."""
    names = spark.table(f"{source}.transactions").columns
    arrived = spark.sql(f"SELECT * FROM {source}.transactions WHERE transaction_date = DATE'{day}'")
    arrived.select(*reversed(names)).write.saveAsTable(f"{target}.bronze_lines", format="delta", mode="append")


def load_silver(spark: SparkSession, source: str, target: str, day: str) -> None:
    """Merge what is known of the lines."""
    households = clean_households(spark.table(f"{source}.households"))
    lines = price_lines(latest_lines(spark.table(f"{target}.bronze_lines")))
    known = lines.join(households.select("life_stage", "household_id"), on="household_id", how="left")
    known = known.withColumn("life_stage", F.coalesce("life_stage", F.lit("unknown")))
    whole = add_products(known, spark.table(f"{source}.products"))
    whole.limit(0).write.format("delta").mode("ignore").saveAsTable(f"{target}.silver_lines")
    whole.createOrReplaceTempView("known_lines")
    spark.sql(
        f"MERGE INTO {target}.silver_lines AS kept USING known_lines AS arrived "
        "ON kept.product_id = arrived.product_id AND kept.basket_id = arrived.basket_id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )


def load_gold(spark: SparkSession, target: str) -> None:
    """Sum up."""
    spark.sql(
        f"CREATE OR REPLACE TABLE {target}.gold_daily USING delta AS "
        "SELECT life_stage, department, transaction_date, round(sum(paid), 2) AS paid, count(*) AS lines "
        f"FROM {target}.silver_lines WHERE NOT department = 'FUEL' GROUP BY ALL"
    )
'''

RIGHT = (GIVEN, IN_SQL)
_MERGE = """    merge = silver.alias("new").mergeInto(table, same[0] & same[1])
    merge.whenMatched().updateAll().whenNotMatched().insertAll().merge()"""
_SQL_MERGE = """    spark.sql(
        f"MERGE INTO {target}.silver_lines AS kept USING known_lines AS arrived "
        "ON kept.product_id = arrived.product_id AND kept.basket_id = arrived.basket_id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )"""
_FIRST = "    load_bronze(spark, source, target, day)\n    load_silver(spark, source, target, day)\n"
_TOO_EARLY = """    nothing = spark.table(f"{source}.transactions").limit(0)
    nothing.write.format("delta").mode("append").saveAsTable(f"{target}.bronze_lines")
    load_silver(spark, source, target, day)
    load_bronze(spark, source, target, day)
"""


@dataclass(frozen=True)
class Miswired:
    """A mistake in the wiring: what it does wrong, and the edits that make it, by implementation."""

    what: str
    edits: dict[int, tuple[str, str]]
    later: bool = False  # it shows at the second load and not before


MISWIRED: tuple[Miswired, ...] = (
    Miswired(
        "a line that is sent again is in silver twice",
        {0: (_MERGE, '    silver.write.format("delta").mode("append").saveAsTable(table)'), 1: ("MERGE INTO {target}.silver_lines AS kept USING known_lines AS arrived \"\n        \"ON kept.product_id = arrived.product_id AND kept.basket_id = arrived.basket_id \"\n        \"WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *", "INSERT INTO {target}.silver_lines BY NAME SELECT * FROM known_lines")},
        later=True,
    ),
    Miswired(
        "gold keeps the figures of the load before beside the new ones",
        {0: ('figures.write.format("delta").mode("overwrite")', 'figures.write.format("delta").mode("append")')},
        later=True,
    ),
    Miswired(
        "fuel is taken out of the products before they are joined, so its lines turn up in gold as UNKNOWN",
        {0: ('spark.table(f"{source}.products")', 'spark.table(f"{source}.products").where("department <> \'FUEL\'")'), 1: ('spark.table(f"{source}.products")', 'spark.table(f"{source}.products").where("department <> \'FUEL\'")')},
    ),
    Miswired(
        "fuel is counted in gold",
        {0: ('.where("department <> \'FUEL\'")', ""), 1: (" WHERE NOT department = 'FUEL'", "")},
    ),
    Miswired(
        "the store of a line is lost between bronze and silver",
        {0: ('        .fillna("unknown", ["life_stage"])', '        .fillna("unknown", ["life_stage"])\n        .drop("store_id")'), 1: ("    whole.limit(0)", '    whole = whole.drop("store_id")\n    whole.limit(0)')},
    ),
    Miswired(
        "silver is made before the day's lines are in bronze",
        {0: (_FIRST, _TOO_EARLY), 1: (_FIRST, _TOO_EARLY)},
    ),
    Miswired(
        "a corrected line doesn't replace the old one in silver",
        {0: (".whenMatched().updateAll()", ""), 1: ("WHEN MATCHED THEN UPDATE SET * ", "")},
        later=True,
    ),
    Miswired(
        "loading a day removes the day before from silver",
        {0: (_MERGE, '    silver.write.format("delta").mode("overwrite").saveAsTable(table)')},
        later=True,
    ),
    Miswired(
        "bronze forgets what was loaded before",
        {0: ('lines.write.format("delta").mode("append")', 'lines.write.format("delta").mode("overwrite")'), 1: ('mode="append"', 'mode="overwrite"')},
        later=True,
    ),
    Miswired(
        "lines of a household that isn't known are lost",
        {0: ('"household_id", "left"', '"household_id", "inner"'), 1: ('how="left"', 'how="inner"')},
    ),
    Miswired(
        "bronze takes in other days than the one that is loaded",
        {0: ('spark.table(f"{source}.transactions").where(F.col("transaction_date") == F.lit(day).cast("date"))', 'spark.table(f"{source}.transactions")'), 1: (" WHERE transaction_date = DATE'{day}'", "")},
    ),
    Miswired(
        "a line that was sent twice in one load is twice in silver",
        {0: ("price_lines(latest_lines(lines))", "price_lines(lines)")},
    ),
)  # fmt: skip


def mutated(mutant: Miswired, implementation: int) -> str:
    """The pipeline's text with the mistake in it. Raises ValueError if the edit fits nowhere, or in several places."""
    old, new = mutant.edits[implementation]
    text = RIGHT[implementation]
    if text.count(old) != 1:
        raise ValueError(
            f"{mutant.what}: {old!r} is {text.count(old)} times in implementation {implementation}"
        )
    return text.replace(old, new)
