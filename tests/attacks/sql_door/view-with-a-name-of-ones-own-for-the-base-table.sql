CREATE OR REPLACE VIEW hr.lab.emp AS SELECT * FROM hr.people.emp
-- then
SELECT lab.emp.salary, emp.name FROM hr.lab.emp
