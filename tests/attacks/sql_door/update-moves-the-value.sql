UPDATE emp SET name = CAST(salary AS STRING)
-- then
SELECT * FROM emp
