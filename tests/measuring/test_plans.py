"""Physical plans as trees, from texts that Spark 4.2 printed."""

from __future__ import annotations

import pytest

from labs_lib.measuring import plans

# A join of a cached table (what is cached stands two levels below InMemoryTableScan), filtered by a subquery (the same).
CACHED = """\
== Physical Plan ==
AdaptiveSparkPlan isFinalPlan=false
+- SortMergeJoin [product_id#1L], [product_id#9L], Inner
   :- Sort [product_id#1L ASC NULLS FIRST], false, 0
   :  +- Exchange hashpartitioning(product_id#1L, 4), ENSURE_REQUIREMENTS, [plan_id=52]
   :     +- Filter (sales_value#2 > Subquery scalar-subquery#20, [id=#40])
   :        :  +- Subquery scalar-subquery#20, [id=#40]
   :        :     +- AdaptiveSparkPlan isFinalPlan=false
   :        :        +- HashAggregate(keys=[], functions=[avg(sales_value#22)])
   :        :           +- FileScan parquet spark_catalog.db.stores[sales_value#22] Batched: true
   :        +- FileScan parquet spark_catalog.db.transactions[product_id#1L,sales_value#2] Batched: true
   +- Sort [product_id#9L ASC NULLS FIRST], false, 0
      +- Exchange hashpartitioning(product_id#9L, 4), ENSURE_REQUIREMENTS, [plan_id=53]
         +- InMemoryTableScan [product_id#9L]
               +- InMemoryRelation [product_id#9L], StorageLevel(disk, memory, deserialized, 1 replicas)
                     +- *(1) ColumnarToRow
                        +- FileScan parquet spark_catalog.db.promotions[product_id#9L] Batched: true

"""


def test_a_plan_with_a_cached_table_and_a_subquery_is_read_whole() -> None:
    top = plans.parse(CACHED)
    join = top.children[0]
    assert join.keys == ("product_id",) and [child.name for child in join.children] == ["Sort", "Sort"]
    assert [operator.name for operator in join.path_to("promotions")] == [
        "SortMergeJoin",
        "Sort",
        "Exchange",
        "InMemoryTableScan",
        "InMemoryRelation",
        "ColumnarToRow",
        "FileScan",
    ]
    assert [child.name for child in top.named("Filter")[0].children] == ["Subquery", "FileScan"]
    assert len(plans.outline(top).splitlines()) == len(CACHED.strip().splitlines()) - 1


def test_a_table_is_found_in_any_case_and_a_text_without_a_plan_is_refused() -> None:
    assert plans.parse(CACHED).path_to("Transactions")[-1].name == "FileScan"
    with pytest.raises(ValueError, match="no physical plan"):
        plans.parse("== Parsed Logical Plan ==\nProject")
