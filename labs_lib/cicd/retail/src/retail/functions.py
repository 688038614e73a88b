"""What happens to households and sales lines on their way: functions from DataFrames to a DataFrame, which read and write nothing.

Columns that a function doesn't speak of pass through it. The order of rows and of columns is free.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def clean_households(households: DataFrame) -> DataFrame:
    """Households that can be compared and grouped.

    `email` is without blanks around it and in lower case, and null where nothing is left. `age_from` is new: the lower end of `age`,
    45 for "45-54" and 65 for "65+", null where no age is known. So is `life_stage`: "young" below 35, "middle" from 35 to 54,
    "senior" from 55, "unknown" where no age is known.
    """
    email = F.lower(F.trim("email"))
    age_from = F.regexp_extract("age", r"^(\d+)", 1).cast("int")
    return households.select(
        *[name for name in households.columns if name != "email"],
        F.when(email != "", email).alias("email"),
        age_from.alias("age_from"),
        F.when(age_from < 35, "young")
        .when(age_from < 55, "middle")
        .when(age_from >= 55, "senior")
        .otherwise("unknown")
        .alias("life_stage"),
    )


def latest_lines(lines: DataFrame) -> DataFrame:
    """One row for each basket and product: a till that corrects a line sends it again.

    The row with the latest `transaction_timestamp` is kept; of equally late ones the one with the larger `quantity`.
    """
    newest = Window.partitionBy("basket_id", "product_id").orderBy(
        F.desc("transaction_timestamp"), F.desc("quantity")
    )
    return lines.withColumn("_place", F.row_number().over(newest)).where("_place = 1").drop("_place")


def price_lines(lines: DataFrame) -> DataFrame:
    """Lines with what was paid for them; those with a `quantity` below 0 are left out.

    `paid` is `sales_value` less `coupon_disc`, never below 0. `unit_price` is the shelf price of one piece: `sales_value` plus
    `retail_disc` plus `coupon_match_disc`, divided by `quantity`; null where that is 0. Discounts that are null count as 0. Both are
    rounded to whole cents, half a cent up.
    """
    coupon = F.coalesce("coupon_disc", F.lit(0.0))
    shelf = (
        F.col("sales_value")
        + F.coalesce("retail_disc", F.lit(0.0))
        + F.coalesce("coupon_match_disc", F.lit(0.0))
    )
    return lines.where("quantity >= 0").withColumns(
        {
            "paid": F.round(F.greatest(F.col("sales_value") - coupon, F.lit(0.0)), 2),
            "unit_price": F.round(F.try_divide(shelf, F.col("quantity")), 2),
        }
    )


def add_products(lines: DataFrame, products: DataFrame) -> DataFrame:
    """Lines with `department` and `brand` of their product, `department` without blanks around it and in capitals.

    No line is lost and none doubled: a product that isn't listed has the department "UNKNOWN" and no brand, and one that is listed
    more than once counts once.
    """
    listed = products.select(
        "product_id", F.upper(F.trim("department")).alias("department"), "brand"
    ).dropDuplicates(["product_id"])
    return lines.join(listed, "product_id", "left").fillna("UNKNOWN", ["department"])
