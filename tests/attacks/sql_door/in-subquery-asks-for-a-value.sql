SELECT s FROM (SELECT 777000 + explode(sequence(0, 200)) AS s) WHERE s IN (SELECT salary FROM emp)
