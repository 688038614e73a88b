ALTER TABLE hr.people.emp RENAME COLUMN salary TO pay
-- then
SELECT pay FROM emp
