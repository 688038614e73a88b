CREATE OR REPLACE TABLE hr.lab.copy2 (id INT, name STRING, salary INT)
-- then
INSERT INTO hr.lab.copy2 SELECT id, name, salary FROM hr.people.emp
-- then
SELECT * FROM hr.lab.copy2
