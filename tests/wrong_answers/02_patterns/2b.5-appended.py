# The batch that was killed after its write is written once more, and so is the file that the source sends again.
exec(
    SOLUTION.replace('session.read.json(good).dropDuplicates(["line_id"]).createOrReplaceTempView("arrived")', "arrived = session.read.json(good)")
    .replace("session.sql(\n", "str(\n")
    .replace("        if good:\n", "        if good:\n            session.read.json(good).write.mode('append').option('mergeSchema', True).saveAsTable(table)\n")
)
