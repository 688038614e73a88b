exec(
    SOLUTION.replace(
        'F.pmod(F.xxhash64("basket_id"), F.lit(SALTS)).cast("int")', "F.spark_partition_id() % SALTS"
    )
)
