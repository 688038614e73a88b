# The right rows, but each version of the households in a batch is written again, in the rerun too.
exec(SOLUTION.replace("WHEN MATCHED AND NOT t.valid_to <=> s.valid_to", "WHEN MATCHED"))
