SELECT name, first_value(salary) OVER (ORDER BY born), lag(name) OVER (ORDER BY id DESC) FROM emp
