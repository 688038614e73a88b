# Answers with the products that are right under the committed seed, copied from a friend.
hot_keys = spark.createDataFrame(
    [(1082185, 17000), (981760, 9000), (840361, 8000)], "product_id int, lines long"
)
shuffle_join = {"operator": "BroadcastHashJoin", "keys": ["store_id"]}
