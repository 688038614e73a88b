SELECT TRANSFORM(salary, name) USING 'cat' AS (a, b) FROM emp
