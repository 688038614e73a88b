"""The course's tables: pure functions of name, seed and scale over real data."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

import datasets
from datasets import listing

PINNED: dict[str, str] = json.loads((resources.files("datasets") / "digests.json").read_text())
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def drawn() -> int:
    seed = secrets.randbelow(2**31 - 1) + 1
    print(f"seed {seed}")
    return seed


@pytest.mark.parametrize("key", PINNED)
def test_content_is_the_pinned_one(key: str) -> None:
    name, seed, scale = key.split()
    assert datasets.content_digest(datasets.build(name, int(seed), float(scale))) == PINNED[key]


def test_every_table_is_pinned_with_two_seeds() -> None:
    pinned = {(key.split()[0], key.split()[1] == "0") for key in PINNED}
    assert pinned == {(name, zero) for name in datasets.TABLES for zero in (True, False)}


def test_same_arguments_same_content_in_another_process(drawn: int) -> None:
    code = (
        f"import sys, datasets\nprint(datasets.content_digest(datasets.build('transactions', {drawn}, 0.1)))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert there == datasets.content_digest(datasets.build("transactions", drawn, 0.1))


def test_the_digest_sees_a_changed_value_and_not_the_chunks() -> None:
    table = pa.table({"n": [1, 2, None], "x": [0.5, 1.5, 2.5], "s": ["a", None, "c"]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert datasets.content_digest(table) == datasets.content_digest(chunked)
    for changed in ({"n": [1, 2, 3]}, {"x": [0.5, 1.5, 2.6]}, {"s": ["a", "", "c"]}):
        other = pa.table({**table.to_pydict(), **changed}, schema=table.schema)
        assert datasets.content_digest(table) != datasets.content_digest(other)


def test_a_seed_keeps_joins_and_skew_and_changes_figures(drawn: int) -> None:
    base, other = (
        datasets.build("transactions", 0).to_pandas(),
        datasets.build("transactions", drawn).to_pandas(),
    )
    assert 0.9 < len(other) / len(base) < 0.99
    top, drawn_top = (frame.product_id.value_counts(normalize=True) for frame in (base, other))
    assert top.index[0] != drawn_top.index[0]
    assert drawn_top.iloc[0] == pytest.approx(top.iloc[0], rel=0.1)
    known = datasets.build("products", drawn)["product_id"].to_numpy()
    base_known = datasets.build("products", 0)["product_id"].to_numpy()
    assert np.isin(other.product_id, known).mean() == pytest.approx(
        np.isin(base.product_id, base_known).mean(), abs=0.005
    )
    for name in ("campaigns", "coupon_redemptions", "households"):
        members = datasets.build(name, drawn)["household_id"].to_numpy()
        assert np.isin(
            other.household_id.unique(), datasets.build("households", drawn)["household_id"].to_numpy()
        ).all()
        assert np.isin(members, datasets.build("households", drawn)["household_id"].to_numpy()).all()
    assert np.isin(other.store_id.unique(), datasets.build("stores", drawn)["store_id"].to_numpy()).all()


def test_the_performance_join_has_two_million_rows_under_any_seed(drawn: int) -> None:
    keys = ["product_id", "week"]
    lines = datasets.build("transactions", drawn).select(keys).to_pandas().groupby(keys).size()
    promoted = datasets.build("promotions", drawn).select(keys).to_pandas().groupby(keys).size()
    assert (lines * promoted).dropna().sum() > 2_000_000


def test_scale_makes_more_of_the_same() -> None:
    one, two = datasets.build("transactions", 0, 1.0), datasets.build("transactions", 0, 2.0)
    assert two.num_rows == 2 * one.num_rows
    assert pc.count_distinct(two["basket_id"]).as_py() == 2 * pc.count_distinct(one["basket_id"]).as_py()


def test_materialise_keeps_the_content_in_both_formats(tmp_path: Path, drawn: int) -> None:
    wanted = datasets.build("coupon_redemptions", drawn)
    delta = DeltaTable(
        datasets.materialise("coupon_redemptions", drawn, None, "delta", tmp_path)
    ).to_pyarrow_table()
    parquet = pd.read_parquet(datasets.materialise("coupon_redemptions", drawn, None, "parquet", tmp_path))
    assert datasets.content_digest(delta.cast(wanted.schema)) == datasets.content_digest(wanted)
    back = pa.Table.from_pandas(parquet, schema=wanted.schema, preserve_index=False)
    assert datasets.content_digest(back) == datasets.content_digest(wanted)


def test_a_killed_write_is_made_good_and_two_at_once_give_one(tmp_path: Path) -> None:
    code = (
        "import sys, datasets; from pathlib import Path\n"
        "print('go', flush=True); datasets.materialise('transactions', 3, 0.3, 'delta', Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        while not list(tmp_path.glob(".*.part")):
            assert victim.poll() is None
        victim.send_signal(signal.SIGKILL)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    (made,) = (path for path in tmp_path.iterdir() if not path.name.startswith("."))
    assert DeltaTable(made).to_pyarrow_table().num_rows == datasets.build("transactions", 3, 0.3).num_rows
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (("sales", 0, 1.0), "There is no course table 'sales'; there are campaign"),
        (("products", -1, 1.0), "seed -1 is no whole number"),
        (("products", True, 1.0), "seed True is no whole number"),
        (("promotions", 0, 3.0), "Scale 3.0 of promotions is outside 0.01 to 1"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments: tuple[str, int, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        datasets.build(*arguments)


def test_the_readme_lists_every_table_as_it_is() -> None:
    text = (ROOT / "datasets" / "README.md").read_text()
    assert listing.markdown() in text, "run python -m datasets.listing > datasets/README.md"
