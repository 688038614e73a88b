# The first aid that every forum offers: the stream goes on, and nobody learns of what is missing.
exec(
    SOLUTION.replace('option("mode", "FAILFAST")', 'option("ignoreCorruptFiles", True)').replace(
        "session.read.json(good)", 'session.read.option("ignoreCorruptFiles", True).option("mode", "DROPMALFORMED").json(good)'
    )
)
