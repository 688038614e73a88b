CREATE TABLE hr.lab.like1 LIKE hr.people.emp
