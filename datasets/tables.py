"""The course's tables as pure functions of seed and scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from faker import Faker

from datasets import query_log, source, variation

STORE_REGIONS = ("Central", "East", "North", "South", "West")
Build = Callable[[int, float], pd.DataFrame]


@dataclass(frozen=True)
class TableSpec:
    """A course table: what it holds, its schema, where it comes from, and the scales it can be had in."""

    name: str
    description: str
    schema: pa.Schema
    function: Build
    origin: str = source.ORIGIN
    licence: str = source.LICENCE
    scales: tuple[float, float] = (1.0, 1.0)
    default_scale: float = 1.0
    files: int = 1


@lru_cache(maxsize=1)
def _identifiers() -> dict[str, npt.NDArray[np.int64]]:
    """All identifiers of each kind, sorted: the sets within which a seed permutes them."""
    lines = source.read("transactions", ["household_id", "store_id", "basket_id", "product_id"])
    # The other tables name no household or store that transactions lack; products and coupons name further products.
    products = [source.read(name, ["product_id"]).product_id for name in ("products", "coupons")]
    return {
        "household": np.unique(lines.household_id),
        "store": np.unique(lines.store_id),
        "basket": np.unique(lines.basket_id),
        "product": np.unique(np.concatenate([lines.product_id, *products])),
    }


def _relabelled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The frame with its identifier columns permuted, and only the households that the seed keeps."""
    if "household_id" in frame:
        household = frame.household_id.to_numpy(dtype=np.int64)
        stay = variation.kept(household, seed, variation.household_fraction(seed), "household")
        frame = frame[stay]
    if seed == 0:
        return frame
    changed = {
        f"{kind}_id": variation.relabel(frame[f"{kind}_id"], known, seed, kind)
        for kind, known in _identifiers().items()
        if f"{kind}_id" in frame
    }
    return frame.assign(**changed)


def transactions(seed: int, scale: float) -> pd.DataFrame:
    """Sales lines in the order in which they came in. Beyond scale 1, further years with baskets of their own."""
    raw = source.read("transactions")
    if scale < 1:
        raw = raw[variation.kept(raw.household_id.to_numpy(dtype=np.int64), seed, scale, "sample")]
    departments = source.read("products").set_index("product_id").department
    factor = variation.price_factors(raw.product_id.map(departments), seed)
    money = {
        column: np.round(raw[column].to_numpy() * factor, 2)
        for column in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
    }
    lines = _relabelled(raw.assign(**money), seed)
    lines = lines.assign(transaction_timestamp=variation.shift(lines.transaction_timestamp, seed))
    years = []
    for year in range(max(1, int(np.ceil(scale)))):
        offset = year * (int(raw.basket_id.max()) + 1)
        moved = lines.transaction_timestamp + pd.Timedelta(weeks=52 * year)
        part = lines.assign(
            basket_id=lines.basket_id + offset, transaction_timestamp=moved, week=lines.week + 52 * year
        )
        share = min(1.0, scale - year) if scale > 1 else 1.0
        years.append(
            part[variation.kept(part.household_id.to_numpy(dtype=np.int64), seed, share, f"year {year}")]
        )
    whole = pd.concat(years, ignore_index=True)
    return whole.assign(transaction_date=whole.transaction_timestamp.dt.date)


def products(seed: int, scale: float) -> pd.DataFrame:
    """Products with department, category and brand, ordered by product."""
    return _relabelled(source.read("products"), seed).sort_values("product_id")


def promotions(seed: int, scale: float) -> pd.DataFrame:
    """Where a product was displayed and advertised, by store and week; a smaller scale has fewer stores."""
    raw = source.read("promotions")
    stores = np.unique(raw.store_id)
    chosen = variation.generator(seed, "promotion stores").permutation(stores)[
        : max(1, round(scale * len(stores)))
    ]
    return _relabelled(raw[raw.store_id.isin(chosen)], seed)


def stores(seed: int, scale: float) -> pd.DataFrame:
    """All stores with a region, which is made up: the source has none."""
    identifiers = _identifiers()["store"]
    region = variation.generator(seed, "regions").choice(
        STORE_REGIONS, size=len(identifiers), p=(0.4, 0.25, 0.15, 0.12, 0.08)
    )
    return pd.DataFrame({"store_id": identifiers, "region": region})


def households(seed: int, scale: float) -> pd.DataFrame:
    """All households with what is known of them (a third), and with made-up names and addresses."""
    every = pd.DataFrame({"household_id": _identifiers()["household"]})
    known = every.merge(source.read("demographics"), on="household_id", how="left").astype(
        {"kids_count": "str"}
    )
    known = known.assign(kids_count=known.kids_count.where(known.kids_count != "nan"))
    frame = _relabelled(known, seed).sort_values("household_id").reset_index(drop=True)
    fake = Faker("en_US")
    fake.seed_instance(seed)
    first = np.array([fake.first_name() for _ in range(400)])
    last = np.array([fake.last_name() for _ in range(400)])
    street = np.array([fake.street_name() for _ in range(300)])
    city = np.array([fake.city() for _ in range(120)])
    draw = variation.generator(seed, "people")
    size = len(frame)
    given, family = draw.choice(first, size), draw.choice(last, size)
    digits = draw.integers(0, 10_000, size)
    return frame.assign(
        name=[f"{a} {b}" for a, b in zip(given, family, strict=True)],
        email=[
            f"{a}.{b}{n}@example.org".lower()
            for a, b, n in zip(given, family, frame.household_id, strict=True)
        ],
        phone=[f"555-01{n % 100:02d}-{n:04d}" for n in digits],
        address=[
            f"{n % 999 + 1} {s}, {c}"
            for n, s, c in zip(digits, draw.choice(street, size), draw.choice(city, size), strict=True)
        ],
    )


def _small(name: str, dates: tuple[str, ...] = ()) -> Build:
    def build(seed: int, scale: float) -> pd.DataFrame:
        frame = _relabelled(source.read(name), seed)
        return frame.assign(**{column: variation.shift(frame[column], seed).dt.date for column in dates})

    return build


def _query_log(seed: int, scale: float) -> pd.DataFrame:
    return query_log.build(transactions(seed, 1.0), seed)


def _schema(**fields: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in fields.items()])


INT, LONG, TEXT, MONEY, DATE = pa.int32(), pa.int64(), pa.string(), pa.float64(), pa.date32()
TIME = pa.timestamp("us", tz="UTC")

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        TableSpec(
            "transactions",
            "Sales lines: what each household bought in each basket (1.47 M at scale 1)",
            _schema(
                household_id=INT,
                store_id=INT,
                basket_id=LONG,
                product_id=INT,
                quantity=INT,
                sales_value=MONEY,
                retail_disc=MONEY,
                coupon_disc=MONEY,
                coupon_match_disc=MONEY,
                week=INT,
                transaction_timestamp=TIME,
                transaction_date=DATE,
            ),
            transactions,
            scales=(0.01, 20.0),
            files=8,
        ),
        TableSpec(
            "products",
            "Products with manufacturer, department, category, type and brand",
            _schema(
                product_id=INT,
                manufacturer_id=INT,
                department=TEXT,
                brand=TEXT,
                product_category=TEXT,
                product_type=TEXT,
                package_size=TEXT,
            ),
            products,
        ),
        TableSpec(
            "promotions",
            "Displays and mailers by product, store and week (20.9 M at scale 1)",
            _schema(product_id=INT, store_id=INT, display_location=TEXT, mailer_location=TEXT, week=INT),
            promotions,
            scales=(0.01, 1.0),
            default_scale=0.1,
            files=4,
        ),
        TableSpec("stores", "Stores with a made-up region", _schema(store_id=INT, region=TEXT), stores),
        TableSpec(
            "households",
            "Households: real demographics where known, made-up personal data",
            _schema(
                household_id=INT,
                age=TEXT,
                income=TEXT,
                home_ownership=TEXT,
                marital_status=TEXT,
                household_size=TEXT,
                household_comp=TEXT,
                kids_count=TEXT,
                name=TEXT,
                email=TEXT,
                phone=TEXT,
                address=TEXT,
            ),
            households,
            origin=f"{source.ORIGIN}; name, email, phone and address made with faker",
        ),
        TableSpec(
            "campaigns",
            "Which household was in which campaign",
            _schema(campaign_id=INT, household_id=INT),
            _small("campaigns"),
        ),
        TableSpec(
            "campaign_descriptions",
            "Campaigns with type and dates",
            _schema(campaign_id=INT, campaign_type=TEXT, start_date=DATE, end_date=DATE),
            _small("campaign_descriptions", ("start_date", "end_date")),
        ),
        TableSpec(
            "coupons",
            "Coupons with the products they are for",
            _schema(coupon_upc=LONG, product_id=INT, campaign_id=INT),
            _small("coupons"),
        ),
        TableSpec(
            "coupon_redemptions",
            "Coupons that households redeemed",
            _schema(household_id=INT, coupon_upc=LONG, campaign_id=INT, redemption_date=DATE),
            _small("coupon_redemptions", ("redemption_date",)),
        ),
        TableSpec(
            "query_log",
            "A week of analysts' queries over transactions",
            _schema(query_id=INT, user=TEXT, started_at=TIME, duration_ms=INT, sql_text=TEXT),
            _query_log,
            origin="made up; the values in its predicates are those of the transactions",
        ),
    )
}
