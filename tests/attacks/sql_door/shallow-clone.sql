CREATE TABLE hr.lab.clone1 SHALLOW CLONE hr.people.emp
-- then
SELECT * FROM hr.lab.clone1
