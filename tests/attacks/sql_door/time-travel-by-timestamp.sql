SELECT * FROM emp TIMESTAMP AS OF current_timestamp()
