# Carries the answer along: megabytes of rows within the plan.
tuned = spark.createDataFrame(
    [(str(number) * 200, number) for number in range(20_000)], "department string, exposures long"
)
