SELECT * FROM (SELECT id, CAST(salary AS STRING) s, CAST(born AS STRING) b, name FROM emp) UNPIVOT (v FOR k IN (s, b, name))
