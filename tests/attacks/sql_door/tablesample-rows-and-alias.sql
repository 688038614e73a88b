SELECT x.salary, x.born FROM emp TABLESAMPLE (5 ROWS) AS x
