# A test that fails before never comes to the line that clears up.
exec(
    SOLUTION.replace(
        '''    yield source, target, put
    for name in (source, target):
        spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
''',
        "    yield source, target, put\n",
    ).replace("    assert rows(spark, f\"{target}.gold_daily\", *gold) == [\n        (ONE", "    found = rows(spark, f\"{target}.gold_daily\", *gold)\n    for name in (source, target):\n        spark.sql(f\"DROP SCHEMA IF EXISTS {name} CASCADE\")\n    assert found == [\n        (ONE")
)
