SELECT * FROM hr.people.emp
