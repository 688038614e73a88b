SET VAR x = (SELECT max(salary) FROM emp)
