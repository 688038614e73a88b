CREATE OR REPLACE TABLE hr.lab.copy4 AS SELECT 1 AS id, 0 AS salary
-- then
UPDATE hr.lab.copy4 SET salary = (SELECT max(salary) FROM hr.people.emp)
-- then
SELECT * FROM hr.lab.copy4
