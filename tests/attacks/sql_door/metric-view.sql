CREATE VIEW hr.lab.m (salary) WITH METRICS LANGUAGE YAML AS $$ source: hr.people.emp $$
