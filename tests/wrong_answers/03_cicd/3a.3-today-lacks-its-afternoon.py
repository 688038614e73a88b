exec(SOLUTION.replace('.where(~F.col("whole") & (F.col("transaction_date") < F.lit(today)))', '.where(~F.col("whole"))'))
