write(
    project / "tests/unit/test_functions.py",
    '''
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st
from retail.functions import add_products, clean_households, latest_lines, price_lines


def test_clean_households(spark):
    rows = spark.createDataFrame([(1, " A@b.org ", "19-24"), (2, None, None)], "household_id int, email string, age string")
    assert clean_households(rows).collect() is not None


def test_latest_lines(spark):
    schema = "basket_id long, product_id int, transaction_timestamp timestamp, quantity int"
    assert latest_lines(spark.createDataFrame([(1, 7, datetime(2017, 3, 1), 2)], schema)).count() >= 0


@given(st.just(1.0))
def test_price_lines(spark, value):
    schema = "quantity int, sales_value double, retail_disc double, coupon_disc double, coupon_match_disc double"
    price_lines(spark.createDataFrame([(1, value, 0.0, 0.0, 0.0)], schema)).collect()


def test_add_products(spark):
    lines, products = spark.createDataFrame([(1, 7)], "line int, product_id int"), spark.createDataFrame([(7, "DELI", "Own")], "product_id int, department string, brand string")
    assert "department" in add_products(lines, products).columns
''',
)
unit_tests = project
