COPY INTO hr.lab.x FROM (SELECT * FROM hr.people.emp)
