"""Variants of the four functions: other right implementations, and mutants of all of them, told by what they do wrong."""

from __future__ import annotations

from dataclasses import dataclass

from labs_lib.cicd.project import TEMPLATE

PATH = "src/retail/functions.py"
GIVEN = TEMPLATE[PATH]
FUNCTIONS = ("clean_households", "latest_lines", "price_lines", "add_products")


def _parts(source: str) -> dict[str, str]:
    """The functions of a source, by name."""
    blocks = source.split("\n\n\ndef ")
    return {block.split("(")[0]: f"def {block.rstrip()}\n" for block in blocks[1:]}


HEAD = GIVEN.split("\n\n\ndef ")[0] + "\n"

IN_SQL = '''


def clean_households(households: DataFrame) -> DataFrame:
    """Households that can be compared and grouped."""
    known = households.withColumn("email", F.expr("nullif(lower(trim(email)), '')"))
    known = known.withColumn("age_from", F.expr("try_cast(substring(age, 1, 2) AS int)"))
    return known.withColumn(
        "life_stage",
        F.expr(
            "CASE WHEN age_from IS NULL THEN 'unknown' WHEN age_from >= 55 THEN 'senior' "
            "WHEN age_from >= 35 THEN 'middle' ELSE 'young' END"
        ),
    )


def latest_lines(lines: DataFrame) -> DataFrame:
    """One row for each basket and product."""
    best = lines.groupBy("basket_id", "product_id").agg(
        F.expr("max_by(struct(*), struct(transaction_timestamp, quantity))").alias("best")
    )
    return best.select("best.*")


def price_lines(lines: DataFrame) -> DataFrame:
    """Lines with what was paid for them."""
    priced = lines.filter(~(F.col("quantity") < 0)).selectExpr(
        "CAST(round(greatest(sales_value - nvl(coupon_disc, 0), 0), 2) AS double) AS paid",
        "CAST(round((sales_value + nvl(retail_disc, 0) + nvl(coupon_match_disc, 0)) / nullif(quantity, 0), 2) AS double) AS unit_price",
        "*",
    )
    return priced


def add_products(lines: DataFrame, products: DataFrame) -> DataFrame:
    """Lines with department and brand of their product."""
    once = products.groupBy("product_id").agg(F.first("department").alias("found"), F.first("brand").alias("brand"))
    joined = once.join(lines, on="product_id", how="right")
    return joined.withColumn("department", F.expr("nvl(upper(trim(found)), 'UNKNOWN')")).drop("found")
'''

BY_STEPS = '''


def clean_households(households: DataFrame) -> DataFrame:
    """Households that can be compared and grouped."""
    tidy = F.trim(F.lower(F.col("email")))
    lower_end = F.split_part(F.regexp_replace("age", r"[+]", "-"), F.lit("-"), F.lit(1)).cast("int")
    stages = F.array(F.lit("young"), F.lit("middle"), F.lit("senior"))
    passed = (F.col("age_from") >= 35).cast("int") + (F.col("age_from") >= 55).cast("int")
    return (
        households.withColumns({"age_from": lower_end, "email": F.when(F.length(tidy) > 0, tidy)})
        .withColumn("life_stage", F.coalesce(F.element_at(stages, passed + 1), F.lit("unknown")))
    )


def latest_lines(lines: DataFrame) -> DataFrame:
    """One row for each basket and product."""
    names = lines.columns
    order = Window.partitionBy("product_id", "basket_id").orderBy(F.col("transaction_timestamp"), F.col("quantity"))
    whole = order.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    numbered = lines.withColumn("_number", F.row_number().over(order)).withColumn("_count", F.count(F.lit(1)).over(whole))
    return numbered.where(F.col("_number") == F.col("_count")).select(*reversed(names))


def price_lines(lines: DataFrame) -> DataFrame:
    """Lines with what was paid for them."""
    kept = lines.where(F.col("quantity") > -1)
    less = F.col("sales_value") - F.ifnull("coupon_disc", F.lit(0.0))
    total = F.col("sales_value") + F.ifnull("retail_disc", F.lit(0.0)) + F.ifnull("coupon_match_disc", F.lit(0.0))
    each = F.when(F.col("quantity") != 0, total / F.col("quantity"))
    return kept.withColumn("unit_price", F.round(each, 2)).withColumn("paid", F.when(less > 0, F.round(less, 2)).otherwise(0.0))


def add_products(lines: DataFrame, products: DataFrame) -> DataFrame:
    """Lines with department and brand of their product."""
    number = F.row_number().over(Window.partitionBy("product_id").orderBy("department"))
    listed = products.withColumn("_number", number).where("_number = 1").select("product_id", "department", "brand")
    known = lines.join(listed, on=["product_id"], how="left_outer")
    return known.withColumn("department", F.coalesce(F.trim(F.upper("department")), F.lit("UNKNOWN")))
'''

RIGHT: tuple[dict[str, str], ...] = tuple(
    _parts(source) for source in (GIVEN, HEAD.rstrip() + IN_SQL, HEAD.rstrip() + BY_STEPS)
)


@dataclass(frozen=True)
class Mutant:
    """A mistake in one function: what it does wrong, and the edits that make it, by implementation."""

    function: str
    what: str
    edits: dict[int, tuple[str, str]]


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "clean_households",
        "an e-mail keeps its capitals",
        {0: ('F.lower(F.trim("email"))', 'F.trim("email")'), 1: ("lower(trim(email))", "trim(email)"), 2: ('F.lower(F.col("email"))', 'F.col("email")')},
    ),
    Mutant(
        "clean_households",
        "an e-mail keeps the blanks around it",
        {0: ('F.lower(F.trim("email"))', 'F.lower("email")'), 1: ("lower(trim(email))", "lower(email)"), 2: ('F.trim(F.lower(F.col("email")))', 'F.lower(F.col("email"))')},
    ),
    Mutant(
        "clean_households",
        "an e-mail of blanks alone becomes an empty text instead of null",
        {0: ('F.when(email != "", email)', "email"), 1: ("nullif(lower(trim(email)), '')", "lower(trim(email))"), 2: ("F.when(F.length(tidy) > 0, tidy)", "tidy")},
    ),
    Mutant(
        "clean_households",
        "an unknown age becomes 0 instead of null",
        {0: ("age_from.alias", "F.coalesce(age_from, F.lit(0)).alias"), 2: ('"age_from": lower_end', '"age_from": F.coalesce(lower_end, F.lit(0))')},
    ),
    Mutant(
        "clean_households",
        "who begins at 35 is young",
        {0: ("age_from < 35", "age_from <= 35"), 1: ("age_from >= 35", "age_from > 35"), 2: ('F.col("age_from") >= 35', 'F.col("age_from") > 35')},
    ),
    Mutant(
        "clean_households",
        "who begins at 55 is in the middle",
        {0: ("age_from < 55", "age_from <= 55"), 1: ("age_from >= 55", "age_from > 55"), 2: ('F.col("age_from") >= 55', 'F.col("age_from") > 55')},
    ),
    Mutant(
        "clean_households",
        "the life stage of an unknown age is another than unknown",
        {0: ('.otherwise("unknown")', '.otherwise("young")'), 1: ("THEN 'unknown'", "THEN 'senior'"), 2: ('F.lit("unknown")', 'F.lit("middle")')},
    ),
    Mutant(
        "clean_households",
        'the open group "65+" counts as an unknown age',
        {0: (r'r"^(\d+)"', r'r"^(\d+)-"'), 1: ("substring(age, 1, 2)", "CASE WHEN age LIKE '%-%' THEN substring(age, 1, 2) END"), 2: ('.cast("int")\n    stages', '.cast("int")\n    lower_end = F.when(F.contains(F.col("age"), F.lit("-")), lower_end)\n    stages')},
    ),
    Mutant(
        "latest_lines",
        "a line that was sent twice, word for word, is kept twice",
        {0: ("F.row_number()", "F.dense_rank()"), 1: ('return best.select("best.*")', 'return lines.join(best.select("best.*"), ["basket_id", "product_id", "transaction_timestamp", "quantity"], "left_semi")')},
    ),
    Mutant(
        "latest_lines",
        "an older version of a line is kept beside the latest",
        {0: ('.where("_place = 1")', ""), 1: ('return best.select("best.*")', "return lines.dropDuplicates()"), 2: ('.where(F.col("_number") == F.col("_count"))', "")},
    ),
    Mutant(
        "latest_lines",
        "the first of two versions is kept instead of the latest",
        {0: ('F.desc("transaction_timestamp")', 'F.asc("transaction_timestamp")'), 1: ("max_by(struct(*), struct(transaction_timestamp, quantity))", "min_by(struct(*), struct(transaction_timestamp, -quantity))"), 2: ('F.col("_number") == F.col("_count")', 'F.col("_number") == 1')},
    ),
    Mutant(
        "latest_lines",
        "of two equally late lines the smaller quantity is kept",
        {0: ('F.desc("quantity")', 'F.asc("quantity")'), 1: ("transaction_timestamp, quantity", "transaction_timestamp, -quantity"), 2: ('orderBy(F.col("transaction_timestamp"), F.col("quantity"))', 'orderBy(F.col("transaction_timestamp"), -F.col("quantity"))')},
    ),
    Mutant(
        "latest_lines",
        "a basket keeps one line, whatever products are in it",
        {0: ('partitionBy("basket_id", "product_id")', 'partitionBy("basket_id")'), 1: ('groupBy("basket_id", "product_id")', 'groupBy("basket_id")'), 2: ('partitionBy("product_id", "basket_id")', 'partitionBy("basket_id")')},
    ),
    Mutant(
        "latest_lines",
        "a product keeps one line, whichever baskets it is in",
        {0: ('partitionBy("basket_id", "product_id")', 'partitionBy("product_id")'), 1: ('groupBy("basket_id", "product_id")', 'groupBy("product_id")'), 2: ('partitionBy("product_id", "basket_id")', 'partitionBy("product_id")')},
    ),
    Mutant(
        "latest_lines",
        "the larger quantity is kept, however old it is",
        {0: ('F.desc("transaction_timestamp"), F.desc("quantity")', 'F.desc("quantity"), F.desc("transaction_timestamp")'), 1: ("struct(transaction_timestamp, quantity)", "struct(quantity, transaction_timestamp)"), 2: ('orderBy(F.col("transaction_timestamp"), F.col("quantity"))', 'orderBy(F.col("quantity"), F.col("transaction_timestamp"))')},
    ),
    Mutant(
        "price_lines",
        "what was paid isn't rounded to cents",
        {0: ('F.round(F.greatest(F.col("sales_value") - coupon, F.lit(0.0)), 2)', 'F.greatest(F.col("sales_value") - coupon, F.lit(0.0))'), 1: ("round(greatest(sales_value - nvl(coupon_disc, 0), 0), 2)", "greatest(sales_value - nvl(coupon_disc, 0), 0)"), 2: ("F.round(less, 2)", "less")},
    ),
    Mutant(
        "price_lines",
        "half a cent of a unit price is rounded to the even cent instead of up",
        {0: ("F.round(F.try_divide", "F.bround(F.try_divide"), 1: ("CAST(round((sales_value", "CAST(bround((sales_value"), 2: ("F.round(each, 2)", "F.bround(each, 2)")},
    ),
    Mutant(
        "price_lines",
        "a unit price is cut off after the cents instead of rounded",
        {0: ('F.round(F.try_divide(shelf, F.col("quantity")), 2)', 'F.floor(F.try_divide(shelf, F.col("quantity")) * 100) / 100'), 2: ("F.round(each, 2)", "F.floor(each * 100) / 100")},
    ),
    Mutant(
        "price_lines",
        "a coupon that is null makes what was paid null",
        {0: ('F.coalesce("coupon_disc", F.lit(0.0))', 'F.col("coupon_disc")'), 1: ("greatest(sales_value - nvl(coupon_disc, 0), 0)", "sales_value - coupon_disc"), 2: ('F.when(less > 0, F.round(less, 2)).otherwise(0.0)', 'F.when(F.col("coupon_disc").isNotNull(), F.when(less > 0, F.round(less, 2)).otherwise(0.0))')},
    ),
    Mutant(
        "price_lines",
        "a discount of the shop's that is null makes the unit price null",
        {0: ('F.coalesce("retail_disc", F.lit(0.0))', 'F.col("retail_disc")'), 1: ("nvl(retail_disc, 0)", "retail_disc"), 2: ('F.ifnull("retail_disc", F.lit(0.0))', 'F.col("retail_disc")')},
    ),
    Mutant(
        "price_lines",
        "a coupon above the price makes what was paid negative",
        {0: ('F.greatest(F.col("sales_value") - coupon, F.lit(0.0))', 'F.col("sales_value") - coupon'), 1: ("greatest(sales_value - nvl(coupon_disc, 0), 0)", "sales_value - nvl(coupon_disc, 0)"), 2: ("F.when(less > 0, F.round(less, 2)).otherwise(0.0)", "F.round(less, 2)")},
    ),
    Mutant(
        "price_lines",
        "lines with the quantity 0 are left out",
        {0: ("quantity >= 0", "quantity > 0"), 1: ('~(F.col("quantity") < 0)', '~(F.col("quantity") <= 0)'), 2: ('F.col("quantity") > -1', 'F.col("quantity") > 0')},
    ),
    Mutant(
        "price_lines",
        "lines with a negative quantity are kept",
        {0: ('lines.where("quantity >= 0")', "lines"), 1: ('lines.filter(~(F.col("quantity") < 0))', "lines"), 2: ('lines.where(F.col("quantity") > -1)', "lines")},
    ),
    Mutant(
        "price_lines",
        "the unit price of a line with the quantity 0 is 0 instead of null",
        {0: ('F.try_divide(shelf, F.col("quantity"))', 'F.coalesce(F.try_divide(shelf, F.col("quantity")), F.lit(0.0))'), 2: ('total / F.col("quantity"))', 'total / F.col("quantity")).otherwise(0.0)')},
    ),
    Mutant(
        "price_lines",
        "the unit price leaves out what a coupon was matched with",
        {0: (' + F.coalesce("coupon_match_disc", F.lit(0.0))', ""), 1: (" + nvl(coupon_match_disc, 0)", ""), 2: (' + F.ifnull("coupon_match_disc", F.lit(0.0))', "")},
    ),
    Mutant(
        "add_products",
        "a line whose product isn't listed is lost",
        {0: ('"product_id", "left"', '"product_id", "inner"'), 1: ('how="right"', 'how="inner"'), 2: ('how="left_outer"', 'how="inner"')},
    ),
    Mutant(
        "add_products",
        "a product that is listed twice doubles its lines",
        {0: ('.dropDuplicates(["product_id"])', ""), 2: ('.where("_number = 1")', "")},
    ),
    Mutant(
        "add_products",
        "the department of a product that isn't listed is null",
        {0: ('.fillna("UNKNOWN", ["department"])', ""), 1: ("nvl(upper(trim(found)), 'UNKNOWN')", "upper(trim(found))"), 2: ('F.coalesce(F.trim(F.upper("department")), F.lit("UNKNOWN"))', 'F.trim(F.upper("department"))')},
    ),
    Mutant(
        "add_products",
        "a department isn't in capitals",
        {0: ('F.upper(F.trim("department"))', 'F.trim("department")'), 1: ("upper(trim(found))", "trim(found)"), 2: ('F.trim(F.upper("department"))', 'F.trim("department")')},
    ),
    Mutant(
        "add_products",
        "a department keeps the blanks around it",
        {0: ('F.upper(F.trim("department"))', 'F.upper("department")'), 1: ("upper(trim(found))", "upper(found)"), 2: ('F.trim(F.upper("department"))', 'F.upper("department")')},
    ),
    Mutant(
        "add_products",
        "products that nobody bought appear as lines",
        {0: ('"product_id", "left"', '"product_id", "full"'), 1: ('how="right"', 'how="full"'), 2: ('how="left_outer"', 'how="full"')},
    ),
    Mutant(
        "add_products",
        'a product that isn\'t listed has the brand "UNKNOWN", too',
        {0: ('["department"]', '["department", "brand"]'), 1: ('.drop("found")', '.drop("found").fillna("UNKNOWN", ["brand"])'), 2: ('F.lit("UNKNOWN")))', 'F.lit("UNKNOWN"))).fillna("UNKNOWN", ["brand"])')},
    ),
)  # fmt: skip


def mutated(mutant: Mutant, implementation: int) -> str:
    """The function's text with the mistake in it. Raises ValueError if the edit fits nowhere, or in several places."""
    old, new = mutant.edits[implementation]
    text = RIGHT[implementation][mutant.function]
    if text.count(old) != 1:
        raise ValueError(
            f"{mutant.what}: {old!r} is {text.count(old)} times in implementation {implementation}"
        )
    return text.replace(old, new)


def module(texts: dict[str, str], order: list[str]) -> str:
    """A whole module of the four functions' texts."""
    return HEAD + "".join(f"\n\n{texts[name]}" for name in order)
