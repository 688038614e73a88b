from labs_lib.patterns import expect_all, expect_all_or_drop, expect_all_or_fail


@expect_all_or_fail({"identified": "NOT isnull(line_id)"})
@expect_all_or_drop({"positive_value": "sales_value > 0", "known_product": "department > ''"})
@expect_all({"usual_quantity": "quantity >= 1 AND quantity <= 24"})
def sales_checked():
    return spark.sql("SELECT l.*, p.department FROM sales_landing l LEFT JOIN products p ON l.product_id = p.product_id")


lab.drop("quality_metrics", "sales_checked")
for number in range(1, 4):
    sales_batches.land(lab, number)
    try:
        write_checked(sales_checked, number)
    except ExpectationFailed:
        pass
