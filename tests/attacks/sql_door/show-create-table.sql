SHOW CREATE TABLE hr.people.emp
