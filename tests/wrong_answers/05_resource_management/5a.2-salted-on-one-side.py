exec(SOLUTION.replace("F.when(is_hot, every).otherwise(F.array(F.lit(0)))", "F.array(F.lit(0))"))
