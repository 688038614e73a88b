SELECT * FROM emp PIVOT (max(salary) AS s, min(born) AS b FOR id IN (1, 2, 3))
