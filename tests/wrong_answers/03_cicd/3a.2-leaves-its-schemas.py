exec(
    SOLUTION.replace(
        '''    yield source, target, put
    for name in (source, target):
        spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
''',
        "    yield source, target, put\n",
    )
)
