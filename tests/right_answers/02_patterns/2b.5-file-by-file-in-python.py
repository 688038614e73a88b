# One file per batch, opened without Spark; a decimal quantity, a real date, mergeInto, and more columns in the quarantine.
def resume(source, checkpoint, table, quarantine):
    def load(batch, batch_id):
        import gzip
        import json
        import zlib
        from decimal import Decimal
        from urllib.parse import unquote, urlsplit

        session = batch.sparkSession
        for row in batch.collect():
            path = unquote(urlsplit(row.path).path)
            name = path.split("/")[-1]
            try:
                with gzip.open(path, "rt") if name.endswith(".gz") else open(path) as file:
                    lines = [json.loads(line) for line in file]
            except (EOFError, OSError, ValueError, zlib.error) as error:
                note = session.createDataFrame([(name, f"{type(error).__name__}: {error}", batch_id)], "file STRING, reason STRING, batch INT").alias("b")
                note.mergeInto(quarantine, F.expr(f"{quarantine}.file = b.file")).whenNotMatched().insertAll().merge()
                continue
            known = {"line_id": "BIGINT", "basket_id": "BIGINT", "store_id": "INT", "product_id": "INT", "quantity": "DECIMAL(12, 3)", "sales_value": "DOUBLE", "sold_on": "STRING"}
            types = {name: known.get(name, "STRING") for line in lines for name in line}
            rows = [tuple(Decimal(str(line[n])) if n == "quantity" else line.get(n) for n in types) for line in lines]
            frame = session.createDataFrame(rows, ", ".join(f"{n} {t}" for n, t in types.items()))
            frame = frame.withColumn("sold_on", F.to_date("sold_on")).alias("s")
            frame.mergeInto(table, F.expr(f"{table}.line_id = s.line_id")).withSchemaEvolution().whenNotMatched().insertAll().merge()

    spark.sql(
        f"""CREATE TABLE IF NOT EXISTS {table} (line_id BIGINT, basket_id BIGINT, store_id INT, product_id INT,
            quantity DECIMAL(12, 3), sales_value DOUBLE, sold_on DATE)"""
    )
    spark.sql(f"CREATE TABLE IF NOT EXISTS {quarantine} (file STRING, reason STRING, batch INT)")
    files = spark.readStream.format("binaryFile").schema("path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY").option("maxFilesPerTrigger", 1).load(source).select("path")
    files.writeStream.foreachBatch(load).option("checkpointLocation", checkpoint).trigger(availableNow=True).start().awaitTermination()


rehearsal = rehearse(lab, resume).to_dict("records")
