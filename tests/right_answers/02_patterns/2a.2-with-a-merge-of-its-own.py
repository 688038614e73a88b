# Silver by hand: a soft delete would show, so a table beside it remembers them; bronze with a file name in it.
start_over()
lab.drop("gone_households")
shutil.rmtree(lab.folder / "checkpoints" / "by_hand", ignore_errors=True)
folder = captured.deliver(lab, 1)
pipeline = write_pipeline(
    lab,
    "household_changes",
    f'''
import pyspark.pipelines as sdp
from pyspark.sql import SparkSession

def from_files():
    stream = SparkSession.active().readStream.format("json").schema("{captured.SCHEMA}").load("{folder}")
    return stream.selectExpr("*", "_metadata.file_name AS file")


sdp.table(name="bronze_changes")(from_files)
''',
)
bronze_file = str(pipeline.file)
database = lab.database
spark.sql("CREATE OR REPLACE TABLE silver_households (household_id INT, address STRING, income STRING, household_size STRING, at BIGINT)")
spark.sql("CREATE TABLE gone_households (household_id INT, at BIGINT)")


def merge(batch, batch_id):
    session = batch.sparkSession
    batch.createOrReplaceTempView("arrived")
    session.sql(f"""
        MERGE INTO {database}.gone_households t
        USING (SELECT household_id, max(sequence) AS at FROM arrived WHERE operation = 'DELETE' GROUP BY 1) s ON t.household_id = s.household_id
        WHEN MATCHED AND s.at > t.at THEN UPDATE SET at = s.at
        WHEN NOT MATCHED THEN INSERT *""")
    session.sql(f"""
        MERGE INTO {database}.silver_households t
        USING (
            SELECT a.household_id, max(a.sequence) AS at, max_by(struct(a.operation, a.address, a.income, a.household_size), a.sequence) AS a
            FROM arrived a LEFT JOIN {database}.gone_households g ON a.household_id = g.household_id
            WHERE a.household_id IS NOT NULL AND (g.at IS NULL OR a.sequence >= g.at)
            GROUP BY a.household_id
        ) s ON t.household_id = s.household_id
        WHEN MATCHED AND s.at > t.at AND s.a.operation = 'DELETE' THEN DELETE
        WHEN MATCHED AND s.at > t.at THEN UPDATE SET address = s.a.address, income = s.a.income, household_size = s.a.household_size, at = s.at
        WHEN NOT MATCHED AND s.a.operation <> 'DELETE' THEN INSERT (household_id, address, income, household_size, at)
            VALUES (s.household_id, s.a.address, s.a.income, s.a.household_size, s.at)""")


for drop in (1, 2):
    captured.deliver(lab, drop)
    run_pipeline(pipeline.spec)
    query = (
        spark.readStream.table("bronze_changes")
        .writeStream.foreachBatch(merge)
        .option("checkpointLocation", str(lab.folder / "checkpoints" / "by_hand"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
