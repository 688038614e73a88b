exec(SOLUTION.replace('begun and (each["price_end_time"] is None or at < each["price_end_time"])', 'each["price_end_time"] is None'))
