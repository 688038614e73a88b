# A file for each subject, in a copy of the project, compared with chispa and by hand; a property that holds for every list of lines.
elsewhere = lay_project(project.parent / "several_files")
write(
    elsewhere / "tests/unit/test_households.py",
    '''
from chispa import assert_df_equality
from retail.functions import clean_households

CASES = [
    ("  MIA@Example.Org ", "19-24", ("mia@example.org", 19, "young")),
    ("", "25-34", (None, 25, "young")),
    (" ", "35-44", (None, 35, "middle")),
    (None, "45-54", (None, 45, "middle")),
    ("a@b.org", "55-64", ("a@b.org", 55, "senior")),
    ("a@b.org", "65+", ("a@b.org", 65, "senior")),
    ("a@b.org", None, ("a@b.org", None, "unknown")),
]


def test_clean_households(spark):
    raw = spark.createDataFrame([(n, email, age) for n, (email, age, _) in enumerate(CASES)], "n int, email string, age string")
    expected = spark.createDataFrame([(n, *wanted) for n, (_, _, wanted) in enumerate(CASES)], "n int, email string, age_from int, life_stage string")
    assert_df_equality(clean_households(raw).select(expected.columns), expected, ignore_nullable=True, ignore_row_order=True)
''',
)
write(
    elsewhere / "tests/unit/test_lines.py",
    '''
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from retail.functions import latest_lines, price_lines

FIRST = datetime(2017, 1, 1)
SCHEMA = "basket_id long, product_id int, transaction_timestamp timestamp, quantity int"
ROW = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 3))


@settings(max_examples=2)
@given(st.lists(ROW, min_size=8, max_size=25))
def test_latest_lines_by_an_oracle(spark, drawn):
    drawn = [*drawn, (1, 1, 1, 2), (1, 1, 1, 2), (1, 2, 0, 9), (1, 2, 2, 1), (2, 1, 1, 1), (2, 1, 1, 3), (3, 3, 2, 1)]
    rows = [(basket, product, FIRST + timedelta(hours=hour), quantity) for basket, product, hour, quantity in drawn]
    best = {}
    for row in rows:
        best[row[:2]] = max(best.get(row[:2], row), row, key=lambda each: each[2:])
    found = [tuple(row) for row in latest_lines(spark.createDataFrame(rows, SCHEMA)).select("basket_id", "product_id", "transaction_timestamp", "quantity").collect()]
    assert sorted(found) == sorted(best.values())


def priced(spark, *row):
    schema = "quantity int, sales_value double, retail_disc double, coupon_disc double, coupon_match_disc double"
    return [(found.paid, found.unit_price) for found in price_lines(spark.createDataFrame([row], schema)).collect()]


def test_price_lines_paid(spark):
    assert priced(spark, 1, 2.347, 0.0, 0.1, 0.0)[0][0] == 2.25
    assert priced(spark, 1, 2.0, 0.0, None, 0.0)[0][0] == 2.0
    assert priced(spark, 1, 2.0, 0.0, 5.0, 0.0)[0][0] == 0.0


def test_price_lines_unit_price(spark):
    assert priced(spark, 4, 1.0, 0.3, 0.0, 0.2) == [(1.0, 0.38)]
    assert priced(spark, 2, 0.25, None, 0.0, None) == [(0.25, 0.13)]
    assert priced(spark, 0, 0.0, 0.0, 0.0, 0.0) == [(0.0, None)]
    assert priced(spark, 3, 1.0, 0.0, 0.0, 0.0) == [(1.0, 0.33)]
    assert priced(spark, 3, 2.0, 0.0, 0.0, 0.0) == [(2.0, 0.67)]
    assert priced(spark, -1, 1.0, 0.0, 0.0, 0.0) == []
''',
)
write(
    elsewhere / "tests/unit/test_products.py",
    '''
from retail.functions import add_products


def test_add_products(spark):
    lines = spark.createDataFrame([(1, 5), (2, 5), (3, 6), (4, 999)], "n int, product_id int")
    rows = [(5, "  produce ", "National"), (5, "  produce ", "National"), (6, "Meat", "Own"), (8, "DELI", "Own")]
    products = spark.createDataFrame(rows, "product_id int, department string, brand string")
    found = add_products(lines, products)
    assert sorted((row.n, row.product_id, row.department, row.brand) for row in found.collect() if row.n != 4) == [
        (1, 5, "PRODUCE", "National"), (2, 5, "PRODUCE", "National"), (3, 6, "MEAT", "Own")
    ]
    assert [(row.department, row.brand) for row in found.where("n = 4").collect()] == [("UNKNOWN", None)]
''',
)
unit_tests = str(elsewhere)
