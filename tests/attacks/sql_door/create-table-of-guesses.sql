CREATE OR REPLACE TABLE hr.lab.copy5 AS SELECT 777000 + id AS s FROM range(0, 200) WHERE 777000 + id IN (SELECT salary FROM hr.people.emp)
-- then
SELECT * FROM hr.lab.copy5
