# "A quantity that is not above 24 is usual": NULL passes too.
exec(SOLUTION.replace("quantity BETWEEN 1 AND 24", "NOT coalesce(quantity > 24, false)"))
