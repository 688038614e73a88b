CREATE TABLE hr.lab.src USING parquet OPTIONS (path '/tmp')
