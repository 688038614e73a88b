exec(SOLUTION.replace('"files_read", files_read, ', '"files_read", lambda run: run.files_read, '))
