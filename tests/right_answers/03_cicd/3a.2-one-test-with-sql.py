# All in one test, with SQL; the source's tables are views of the session's, and what it makes goes in a finally.
write(
    project / "tests/integration/test_pipeline.py",
    '''
from retail import pipeline

LINES = """
    SELECT INT(household), INT(40) AS store_id, BIGINT(basket) AS basket_id, INT(product) AS product_id, INT(quantity) AS quantity, DOUBLE(quantity) AS sales_value,
        DOUBLE(0) AS retail_disc, DOUBLE(0) AS coupon_disc, DOUBLE(0) AS coupon_match_disc, TIMESTAMP(at) AS transaction_timestamp, DATE(at) AS transaction_date
    FROM VALUES {rows} AS v(household, basket, product, quantity, at)
"""
DAY_ONE = [(5, 1, 1, 1, "2017-05-01 08:00:00"), (5, 1, 1, 1, "2017-05-01 08:00:00"), (5, 1, 2, 1, "2017-05-01 08:00:00"), (6, 2, 3, 1, "2017-05-01 09:00:00")]
DAY_TWO = [(5, 3, 1, 1, "2017-05-02 08:00:00"), (5, 1, 1, 9, "2017-05-02 09:00:00")]


def view(spark, name, text):
    spark.sql(text).createOrReplaceGlobalTempView(name)


def test_two_days(spark):
    try:
        spark.sql("DROP SCHEMA IF EXISTS two_days CASCADE")
        spark.sql("CREATE SCHEMA two_days")
        view(spark, "products", "SELECT INT(id) AS product_id, department, 'Own' AS brand FROM VALUES (1, 'FROZEN'), (2, 'FUEL') AS v(id, department)")
        view(spark, "households", "SELECT INT(5) AS household_id, 'a@b.org' AS email, '65+' AS age")
        view(spark, "transactions", LINES.replace("INT(household)", "INT(household) AS household_id").format(rows=", ".join(map(str, DAY_ONE + DAY_TWO))))
        pipeline.run(spark, "global_temp", "two_days", "2017-05-01")
        assert spark.table("two_days.bronze_lines").count() == 4
        silver = spark.sql("SELECT store_id, department, life_stage FROM two_days.silver_lines ORDER BY basket_id, product_id").collect()
        assert [tuple(row) for row in silver] == [(40, "FROZEN", "senior"), (40, "FUEL", "senior"), (40, "UNKNOWN", "unknown")]
        gold = spark.sql("SELECT department, lines, paid FROM two_days.gold_daily ORDER BY 1").collect()
        assert [tuple(row) for row in gold] == [("FROZEN", 1, 1.0), ("UNKNOWN", 1, 1.0)]
        pipeline.run(spark, "global_temp", "two_days", "2017-05-02")
        assert spark.table("two_days.bronze_lines").count() == 6
        silver = spark.sql("SELECT basket_id, product_id, quantity FROM two_days.silver_lines ORDER BY 1, 2").collect()
        assert [tuple(row) for row in silver] == [(1, 1, 9), (1, 2, 1), (2, 3, 1), (3, 1, 1)]
        gold = spark.sql("SELECT DAY(transaction_date), department, lines, paid FROM two_days.gold_daily ORDER BY 1, 2").collect()
        assert [tuple(row) for row in gold] == [(1, "UNKNOWN", 1, 1.0), (2, "FROZEN", 2, 10.0)]
    finally:
        spark.sql("DROP SCHEMA IF EXISTS two_days CASCADE")
        for name in ("products", "households", "transactions"):
            spark.catalog.dropGlobalTempView(name)
''',
)
integration_tests = project
