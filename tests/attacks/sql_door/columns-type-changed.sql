ALTER TABLE hr.people.emp ALTER COLUMN salary TYPE BIGINT
-- then
SELECT salary FROM emp
