SELECT * FROM hr.information_schema.columns, hr.information_schema.tables
