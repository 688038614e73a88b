exec(SOLUTION.replace('place = F.row_number().over(Window.partitionBy(*KEY).orderBy("transaction_timestamp"))', 'place = F.count("*").over(Window.partitionBy(*KEY))'))
