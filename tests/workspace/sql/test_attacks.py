"""Ways round the guard, one a file: none shows Ben what is masked or filtered for him."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workspace.sql.conftest import ANA, BEN, PLANTED, Company

pytestmark = [
    pytest.mark.ledger,
    pytest.mark.xdist_group("sql_door"),  # one JVM for all that try the door
]
FOLDER = Path(__file__).parents[2] / "attacks" / "sql_door"
ATTACKS = sorted(FOLDER.glob("*.sql"))


def test_there_are_enough() -> None:
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.stem for attack in ATTACKS])
def test_nothing_planted_is_shown(company: Company, attack: Path) -> None:
    for text in attack.read_text().strip().split("\n-- then\n"):
        answer = company.ask(text, BEN).as_dict()
        shown = json.dumps([answer.get("result"), answer["status"]], ensure_ascii=False)
        # What Ben wrote himself comes back in Spark's sentences about it.
        found = [value for value in PLANTED if value in shown and value not in text]
        assert not found, f"{text}\n{shown[:2000]}"


def test_after_all_attacks_all_is_as_it_was(company: Company) -> None:
    """Policies stand, no row of the planted three is lost or changed, and Ana of the payroll still sees everything."""
    rows = company.rows("SELECT * FROM emp WHERE id < 100 ORDER BY id", ANA)
    assert json.dumps(rows).count("777123") == 1 and all(value in json.dumps(rows) for value in PLANTED)
    table = company.served.client().tables.get("hr.people.emp")
    assert table.row_filter and {column.name for column in table.columns or [] if column.mask} == {
        "salary",
        "born",
    }
    assert table.owner == "learner@example.com"
