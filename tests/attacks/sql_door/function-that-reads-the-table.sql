CREATE OR REPLACE FUNCTION hr.lab.peek(i INT) RETURNS STRING RETURN (SELECT max(concat(name, salary, born)) FROM hr.people.emp WHERE id = i)
-- then
SELECT hr.lab.peek(id) FROM dept
