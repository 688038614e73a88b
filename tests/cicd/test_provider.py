"""Terraform's provider without Terraform: values on the wire, and what of a workspace's own a state tells."""

from __future__ import annotations

from typing import Any

import pytest

from labs_lib.cicd.terraform.attributes import UNKNOWN, Attribute, Block, decoded, encoded
from labs_lib.cicd.terraform.messages import MESSAGES
from labs_lib.cicd.terraform.provider import Provider, methods
from labs_lib.cicd.terraform.resources import RESOURCES


def test_values_come_through_the_wire_as_they_are() -> None:
    values: tuple[Any, ...] = (None, {"a": 1, "b": [True, "x", None], "c": 1.5})
    for value in values:
        assert decoded(encoded(value)) == value
    assert decoded(encoded({"id": UNKNOWN}))["id"] is UNKNOWN


def test_what_nobody_said_stays_unsaid_unless_it_is_unusual() -> None:
    block = Block(
        {"name": Attribute(required=True), "runs": Attribute("number", usual=1)},
        {"task": Block({"key": Attribute()})},
    )
    before: dict[str, Any] = {"name": "x", "runs": None, "task": []}
    assert block.as_found({"name": "x", "runs": 1}, before)["runs"] is None
    assert block.as_found({"name": "x", "runs": 3}, before)["runs"] == 3
    assert block.as_found({"name": "x", "task": [{"key": "a"}]}, before)["task"] == [{"key": "a"}]


def test_each_request_has_its_messages() -> None:
    for name, (answer, asked, told) in methods(Provider()).items():
        assert callable(answer), name
        assert {asked, told} <= set(MESSAGES), name


def test_the_schema_tells_every_resource_with_its_id_and_its_secret() -> None:
    told = Provider().schema(None)
    found = {each.key: each.value.block for each in told.resource_schemas}
    assert set(found) == set(RESOURCES)
    for name, block in found.items():
        assert [each.computed for each in block.attributes if each.name == "id"] == [True], name
    secret = {each.name: each.sensitive for each in found["databricks_secret"].attributes}
    assert secret == {"id": False, "key": False, "scope": False, "string_value": True}


def test_without_address_and_token_the_provider_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    monkeypatch.delenv("DATABRICKS_TOKEN", raising=False)
    request = MESSAGES["ConfigureProvider.Request"](config=encoded({"host": None, "token": None}))
    (said,) = Provider().configure(request).diagnostics
    assert said.detail == "Set DATABRICKS_HOST and DATABRICKS_TOKEN."
    given = MESSAGES["ConfigureProvider.Request"](config=encoded({"host": "http://x", "token": "y"}))
    assert list(Provider().configure(given).diagnostics) == []


def test_a_plan_knows_what_is_new_what_stays_and_what_is_made_anew() -> None:
    def planned(before: Any, wanted: Any) -> tuple[Any, list[str]]:
        request = MESSAGES["PlanResourceChange.Request"](
            type_name="databricks_secret_scope",
            prior_state=encoded(before),
            proposed_new_state=encoded(wanted),
        )
        answer = Provider().plan(request)
        return decoded(answer.planned_state), [
            each.steps[0].attribute_name for each in answer.requires_replace
        ]

    old = {"id": "a", "name": "a", "initial_manage_principal": None}
    assert planned(None, {**old, "id": None}) == ({**old, "id": UNKNOWN}, [])
    assert planned(old, old) == (old, [])
    assert planned(old, {**old, "name": "b"}) == ({**old, "id": UNKNOWN, "name": "b"}, ["name"])
    assert planned(old, None) == (None, [])
