DESCRIBE HISTORY hr.people.emp
