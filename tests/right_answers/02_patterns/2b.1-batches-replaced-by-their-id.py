# A batch that runs again replaces its own rows.
code = SOLUTION
for table, name in (("accepted", "accepted"), ("dead_letter", "dead letter")):
    code = code.replace(
        f'.mode("append").options(txnAppId="dirty_sales {name}", **once)',
        '.mode("overwrite").option("replaceWhere", f"batch_id = {batch_id}")',
    )
exec(code)
