ALTER TABLE hr.people.emp DROP ROW FILTER
-- then
SELECT name FROM emp
