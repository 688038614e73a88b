SELECT * FROM range((SELECT max(salary) FROM emp))
