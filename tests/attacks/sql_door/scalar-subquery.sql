SELECT (SELECT max(salary) FROM emp) AS s, (SELECT min(born) FROM emp) AS b
