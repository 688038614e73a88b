# What fails while something is made ready is an error, and no test that failed.
exec(
    SOLUTION.replace(
        "    yield source, target, put\n",
        '''    try:
        test_one_day_goes_from_bronze_to_gold.__wrapped__(spark, (source, target, put))
        test_the_next_day_adds_and_corrects.__wrapped__(spark, (source, target, put))
        yield source, target, put
    finally:
        for name in (source, target):
            spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
''',
    )
    .replace("def test_one_day_goes_from_bronze_to_gold", "class Looks:\n    pass\n\n\ndef look_at_one_day")
    .replace("def test_the_next_day_adds_and_corrects", "def look_at_the_next_day")
    .replace("test_one_day_goes_from_bronze_to_gold.__wrapped__", "look_at_one_day")
    .replace("test_the_next_day_adds_and_corrects.__wrapped__", "look_at_the_next_day")
    .replace("''',\n)\nintegration_tests", '''

def test_pipeline(loaded):
    assert loaded
''' + "''',\n)\nintegration_tests")
)
