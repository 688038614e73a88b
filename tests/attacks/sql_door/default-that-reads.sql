CREATE OR REPLACE TABLE hr.lab.d1 (a INT DEFAULT (SELECT max(salary) FROM hr.people.emp))
