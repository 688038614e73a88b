CREATE OR REPLACE TABLE hr.lab.copy5 AS SELECT 777000 + explode(sequence(100, 150)) AS s
-- then
DELETE FROM hr.lab.copy5 WHERE s NOT IN (SELECT coalesce(salary, 0) FROM hr.people.emp)
-- then
SELECT * FROM hr.lab.copy5
