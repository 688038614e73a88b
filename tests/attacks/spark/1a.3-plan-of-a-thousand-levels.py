# A plan so deep that whoever walks it by recursion falls over.
tuned = transactions.select("product_id")
for number in range(3000):
    tuned = tuned.select("*") if number % 2 else tuned.where("product_id > 0")
