SELECT 1 / (salary - 777000 - 123) FROM emp
