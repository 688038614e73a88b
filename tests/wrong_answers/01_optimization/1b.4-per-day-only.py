exec(SOLUTION.replace('groupBy("transaction_date", "region")', 'groupBy("transaction_date")'))
