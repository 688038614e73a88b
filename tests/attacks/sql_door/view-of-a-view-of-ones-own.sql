CREATE OR REPLACE VIEW hr.lab.v2 AS SELECT * FROM hr.people.everybody
-- then
CREATE OR REPLACE VIEW hr.lab.v3 AS SELECT * FROM hr.lab.v2
-- then
SELECT * FROM hr.lab.v3
