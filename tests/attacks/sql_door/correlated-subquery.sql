SELECT d.dept, (SELECT e.salary FROM emp e WHERE e.id = d.id) FROM dept d
