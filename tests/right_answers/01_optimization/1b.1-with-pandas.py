import re
from collections import defaultdict

log = query_log.toPandas()
sales = transactions.select("household_id", "product_id", "store_id", "transaction_date").toPandas()
kept = defaultdict(list)
for text in log.sql_text:
    for column, value in re.findall(r"(\w+) = (\d+)", text):
        kept[column].append(int(value))
    for low, high in re.findall(r"BETWEEN DATE'([\d-]+)' AND DATE'([\d-]+)'", text):
        kept["transaction_date"].append((pd.Timestamp(low), pd.Timestamp(high)))
days = pd.to_datetime(sales.transaction_date)
per_day = days.value_counts().sort_index()
rows = []
for column, values in kept.items():
    if column == "transaction_date":
        found = [per_day[low:high].sum() / len(sales) for low, high in values]
    else:
        counted = sales[column].value_counts()
        found = [counted.get(value, 0) / len(sales) for value in values]
    rows.append((column, len(values), len(values) / len(log), sum(found) / len(found)))
query_patterns = spark.createDataFrame(rows, "filter_column string, queries int, share double, selectivity double")
