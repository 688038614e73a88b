SELECT 'FROM emp' AS x, salary FROM emp WHERE 'emp' <> "emp \' emp"
