SELECT CAST(concat('x', salary, name) AS INT) FROM emp
