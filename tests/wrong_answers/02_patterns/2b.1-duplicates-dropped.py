# dropDuplicates in place of a dead letter: the copies are nowhere.
exec(SOLUTION.replace("sorted_lines.persist()", "sorted_lines = sorted_lines.where(\"coalesce(reason, '') <> 'duplicate'\").persist()"))
