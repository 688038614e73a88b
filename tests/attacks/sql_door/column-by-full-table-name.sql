SELECT hr.people.emp.salary, people.emp.born FROM hr.people.emp
