# Appends without txnAppId and txnVersion: the batch that runs again is there twice.
exec(SOLUTION.replace('.options(txnAppId="dirty_sales accepted", **once)', "").replace('.options(txnAppId="dirty_sales dead letter", **once)', ""))
