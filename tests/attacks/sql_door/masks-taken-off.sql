ALTER TABLE hr.people.emp ALTER COLUMN salary DROP MASK
-- then
SELECT salary FROM emp
