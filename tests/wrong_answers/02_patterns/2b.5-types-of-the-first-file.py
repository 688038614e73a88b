# Whole numbers are all that the first files hold.
exec(SOLUTION.replace("quantity DOUBLE", "quantity BIGINT"))
