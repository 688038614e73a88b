SELECT CASE WHEN max(hash(salary)) = hash(777000 + 123) THEN 777000 + 123 END FROM emp
