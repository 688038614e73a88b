# The same through SQL's own way of naming files, behind a view.
try:
    spark.sql("CREATE OR REPLACE TEMPORARY VIEW quiet AS SELECT * FROM text.`/etc/passwd`")
except Exception as error:
    print(error)
hot_keys = spark.sql("SELECT * FROM json.`/box/in`")
shuffle_join = {"operator": "", "keys": []}
