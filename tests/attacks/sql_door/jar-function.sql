CREATE FUNCTION hr.lab.jar AS 'org.apache.hadoop.hive.ql.udf.UDFConv' USING JAR '/tmp/x.jar'
