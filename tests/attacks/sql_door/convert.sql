CONVERT TO DELTA parquet.`/tmp`
