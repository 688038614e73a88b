# Knows a batch that runs again, but not a file that comes again.
exec(
    SOLUTION.replace("session.sql(\n", "str(\n").replace(
        "        if good:\n",
        "        if good:\n            session.read.json(good).write.mode('append').option('mergeSchema', True)"
        ".option('txnAppId', table).option('txnVersion', batch_id).saveAsTable(table)\n",
    )
)
