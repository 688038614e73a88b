exec(SOLUTION.replace("""        apply_as_deletes="operation = 'DELETE'",\n""", ""))
