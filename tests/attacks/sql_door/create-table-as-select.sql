CREATE OR REPLACE TABLE hr.lab.copy1 AS SELECT * FROM hr.people.emp
-- then
SELECT * FROM hr.lab.copy1
