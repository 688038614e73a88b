SHOW PARTITIONS hr.people.emp
