INSERT INTO hr.people.emp SELECT id + 100, name, salary, 'asia', email, born FROM hr.people.emp
-- then
SELECT * FROM emp
