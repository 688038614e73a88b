SELECT min(salary), max(salary), min(region), max(name), min(born), count(salary) FROM emp
