# A version whose details a late record brings too is no news any more; left out of the MERGE's source, its row stays as it was.
exec(SOLUTION.replace("WHERE there OR NOT", "WHERE NOT"))
