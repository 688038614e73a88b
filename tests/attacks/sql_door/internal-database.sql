SELECT * FROM spark_catalog.default.emp
