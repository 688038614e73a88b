# Gold has rows, and that is all that is asked.
first = SOLUTION.index("def test_one_day_goes_from_bronze_to_gold")
exec(
    SOLUTION[:first]
    + '''def test_gold_has_rows(spark, loaded):
    source, target, _ = loaded
    assert spark.table(f"{target}.gold_daily").count() > 0
    pipeline.run(spark, source, target, "2017-03-02")
    assert spark.table(f"{target}.gold_daily").count() > 0
'''
    + "''',\n)\nintegration_tests = project\n"
)
