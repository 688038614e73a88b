# The right rows in two commits per batch: readers in between see households without a current version.
statements = SOLUTION.replace("def apply_batch(number):\n    return spark.sql(f", "def statement(number):\n    return (f").split("new_dimension()")[0]
exec(statements)
new_dimension()
for number in (1, 2, 3, 4):
    closing = statement(number).split("WHEN NOT MATCHED")[0]
    opening = statement(number).split("WHEN MATCHED")[0] + "WHEN NOT MATCHED" + statement(number).split("WHEN NOT MATCHED")[1]
    spark.sql(closing)
    spark.sql(opening)
