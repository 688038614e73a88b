exec(
    SOLUTION.replace("SALTS = 64", "SALTS = 16")
    .replace("F.when(is_hot, salt).otherwise(0)", "salt")
    .replace("F.when(is_hot, every).otherwise(F.array(F.lit(0)))", "every")
)
