DESCRIBE DETAIL hr.people.emp
