MERGE INTO emp t USING (SELECT 777000 + 123 AS v) s ON t.salary = s.v WHEN MATCHED THEN UPDATE SET name = 'found'
