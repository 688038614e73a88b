SELECT hr.people.emp.* FROM hr.people.emp
