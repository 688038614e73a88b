SELECT name FROM emp ORDER BY salary DESC, born LIMIT 1
