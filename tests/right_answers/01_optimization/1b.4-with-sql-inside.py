lab.drop("sales_feed", "daily_sales")
transactions.where("week <= 40").write.saveAsTable("sales_feed")
daily = write_pipeline(
    lab,
    "by_day",
    '''
import pyspark.pipelines
from pyspark.sql import SparkSession


@pyspark.pipelines.materialized_view(name="daily_sales", comment="per day and region")
def anything():
    return SparkSession.active().sql(
        """SELECT region, transaction_date, count(1) AS lines, sum(sales_value) AS sales
           FROM sales_feed s JOIN stores t ON s.store_id = t.store_id GROUP BY 1, 2"""
    )
''',
)
run_pipeline(daily.spec)
transactions.where("week > 40").write.insertInto("sales_feed")
run_pipeline(daily.spec)
pipeline_file = str(daily.file)
