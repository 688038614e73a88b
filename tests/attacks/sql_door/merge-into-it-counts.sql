MERGE INTO emp t USING (VALUES (777000 + 123)) s(v) ON t.salary = s.v WHEN MATCHED THEN UPDATE SET name = 'found'
