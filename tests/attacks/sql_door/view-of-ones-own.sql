CREATE OR REPLACE VIEW hr.lab.v1 AS SELECT * FROM hr.people.emp
-- then
SELECT * FROM hr.lab.v1
