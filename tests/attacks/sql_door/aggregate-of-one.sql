SELECT name, max(salary), min(born), sum(salary), collect_list(born), max_by(salary, id) FROM emp GROUP BY name
