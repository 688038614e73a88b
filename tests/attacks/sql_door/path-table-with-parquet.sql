SELECT * FROM parquet.`/tmp/*/*/*/*/emp`
