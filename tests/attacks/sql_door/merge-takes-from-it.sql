CREATE OR REPLACE TABLE hr.lab.copy3 (id INT, salary INT)
-- then
MERGE INTO hr.lab.copy3 t USING hr.people.emp s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, salary) VALUES (s.id, s.salary)
-- then
SELECT * FROM hr.lab.copy3
