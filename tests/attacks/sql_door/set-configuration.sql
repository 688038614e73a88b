SET spark.sql.runSQLOnFiles=true
