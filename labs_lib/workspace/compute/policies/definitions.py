"""Policy definitions: JSON texts of limitations, read and held to be sound. Pure: no HTTP, no SQL.

Stricter than Databricks, which finds a malformed definition when it is first used: here it is refused when it is created, with the attribute and
the rule. Patterns are RE2's, which match in linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from labs_lib.errors import LabsError
from labs_lib.workspace.compute.catalogue import AUTOMATIC_VERSIONS, FAMILIES
from labs_lib.workspace.compute.policies.attributes import (
    BOOLEAN,
    MAPS,
    NUMBER,
    VIRTUAL,
    Scalar,
    as_text,
    is_container,
    type_of,
)

DEFINITION_CHARACTERS, RULES = 100_000, 500
# A pattern's time is its size by the value's length: these, and the bounds of specification.py, keep a request's below a second.
PATTERN_CHARACTERS, PATTERN_BYTES = 300, 1 << 16

_LIMITS = ("isOptional", "defaultValue", "hidden")
_FIELDS: dict[str, tuple[str, ...]] = {
    "fixed": ("value", "hidden"),
    "forbidden": ("hidden",),
    "allowlist": ("values", *_LIMITS),
    "blocklist": ("values", *_LIMITS),
    "range": ("minValue", "maxValue", *_LIMITS),
    "regex": ("pattern", *_LIMITS),
    "unlimited": _LIMITS,
}


class MalformedPolicy(LabsError):
    """A definition that says nothing sound: the sentence names the attribute and the rule."""


@dataclass(frozen=True)
class Rule:
    """One limitation. `wrong` says what the value must be, or None for one that may stand."""

    path: str
    type: str
    wrong: Callable[[Scalar], str | None]
    value: Scalar | None = None
    default: Scalar | None = None
    optional: bool = False

    @property
    def everywhere(self) -> bool:
        """Whether it speaks of any element or key, and so requires none."""
        return "*" in self.path.split(".")


@dataclass(frozen=True)
class Policy:
    """A definition that was read: rules of very attributes by path, those with `*` as patterns."""

    rules: Mapping[str, Rule]
    wild: tuple[tuple[re.Pattern[str], Rule], ...]

    def rule_for(self, path: str) -> Rule | None:
        """The one rule that applies to an attribute of a cluster."""
        if rule := self.rules.get(path):
            return rule
        return next((rule for pattern, rule in self.wild if pattern.match(path)), None)


def parse(definition: str) -> Policy:
    """Read a definition, a JSON text.

    Raises:
        MalformedPolicy: the sentence names the attribute and the rule that is wrong.
    """
    if len(definition) > DEFINITION_CHARACTERS:
        raise MalformedPolicy(
            f"The policy definition has {len(definition)} characters, {DEFINITION_CHARACTERS} are allowed."
        )
    return _parsed(definition)


@lru_cache(maxsize=100)
def _parsed(definition: str) -> Policy:
    rules = [_rule(path, entry) for path, entry in as_rules(definition).items()]
    # A `*` deeper inside is the more particular one: init_scripts.*.s3.destination goes before init_scripts.*.
    wild = sorted(
        (rule for rule in rules if rule.everywhere or is_container(rule.path)),
        key=lambda rule: -len(rule.path),
    )
    return Policy(
        {rule.path: rule for rule in rules if not rule.everywhere},
        tuple((_pattern(rule), rule) for rule in wild),
    )


def as_rules(definition: str) -> dict[str, Any]:
    """The JSON object of a definition, attribute by attribute, with nothing yet read into it.

    Raises:
        MalformedPolicy: no JSON object, or an attribute named twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise MalformedPolicy(
                f"{next(n for n in names if names.count(n) > 1)!r} is named twice in the policy definition: one limitation an attribute."
            )
        return found

    try:
        found = json.loads(definition, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise MalformedPolicy(f"The policy definition is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise MalformedPolicy(
            "The policy definition must be a JSON object of attributes and their limitations."
        )
    if len(found) > RULES:
        raise MalformedPolicy(f"The policy definition has {len(found)} limitations, {RULES} are allowed.")
    return found


def with_overrides(policy_family_id: str, overrides: str | None) -> str:
    """The definition that a policy inherits: its family's rules, those named in `overrides` replaced whole.

    Raises:
        MalformedPolicy: the overrides are none.
        KeyError: no such family.
    """
    return json.dumps({**FAMILIES[policy_family_id]["definition"], **as_rules(overrides or "{}")})


def _rule(path: str, entry: Any) -> Rule:
    def refuse(sentence: str) -> MalformedPolicy:
        return MalformedPolicy(f"Policy attribute {path!r}: {sentence}")

    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise refuse('a limitation is an object with a "type".')
    kind = entry["type"]
    if kind not in _FIELDS:
        raise refuse(f"unknown limitation type {kind!r}; the types are {', '.join(_FIELDS)}.")
    if unknown := sorted(set(entry) - {"type", *_FIELDS[kind]}):
        raise refuse(
            f"{kind!r} doesn't take {', '.join(map(repr, unknown))}; it takes {', '.join(_FIELDS[kind])}."
        )
    expects = type_of(path)
    if expects is None and not (kind == "forbidden" and is_container(path)):
        raise refuse("is no attribute that a policy can limit.")
    if kind == "forbidden" and path in VIRTUAL:
        raise refuse("every cluster has it, so 'forbidden' can't be kept.")
    for field in ("isOptional", "hidden"):
        if not isinstance(entry.get(field, False), bool):
            raise refuse(f"{field!r} must be true or false.")

    def scalar(field: str, value: Any) -> Scalar:
        fits = {NUMBER: _is_number(value), BOOLEAN: isinstance(value, bool)}.get(
            expects or "", isinstance(value, str | bool) or _is_number(value)
        )
        if not fits:
            raise refuse(f"{field!r} of {kind!r} must be {expects} (is {json.dumps(value)[:80]}).")
        return value

    value = None
    wrong: Callable[[Scalar], str | None] = _nothing
    if kind == "fixed":
        if "value" not in entry:
            raise refuse("'fixed' needs 'value'.")
        if entry["value"] is None:
            raise refuse(
                "'fixed' needs a value, and null is none; use 'forbidden' for an attribute that must be left out."
            )
        value = version_of(path, scalar("value", entry["value"]))
        wrong = _must_be(value)
    elif kind == "forbidden":
        wrong = _must_be_absent
    elif kind in ("allowlist", "blocklist"):
        if not isinstance(entry.get("values"), list) or not entry["values"]:
            raise refuse(f"{kind!r} needs 'values', a list with at least one.")
        listed = [version_of(path, scalar("values", item)) for item in entry["values"]]
        wrong = _must_be_of(listed) if kind == "allowlist" else _must_not_be_of(listed)
    elif kind == "range":
        if expects != NUMBER and path.partition(".")[0] not in MAPS:
            raise refuse("'range' limits numbers, and this attribute is none.")
        wrong = _range(entry, refuse)
    elif kind == "regex":
        wrong = _regex(entry.get("pattern"), refuse)
    default = entry.get("defaultValue")
    if default is not None:
        default = version_of(path, scalar("defaultValue", default))
        if sentence := wrong(default):
            raise refuse(f"its own 'defaultValue' {json.dumps(default)} is refused by it: {sentence}.")
    return Rule(path, kind, wrong, value, default, bool(entry.get("isOptional")))


def _range(
    entry: Mapping[str, Any], refuse: Callable[[str], MalformedPolicy]
) -> Callable[[Scalar], str | None]:
    limits = []
    for field in ("minValue", "maxValue"):
        limit = entry.get(field)  # null is as if left out: no limit on that side
        if limit is not None and not _is_number(limit):
            raise refuse(f"{field!r} of 'range' must be a number (is {json.dumps(limit)[:80]}).")
        limits.append(limit)
    low, high = limits
    if low is None and high is None:
        raise refuse("'range' needs 'minValue' or 'maxValue'; use 'unlimited' where there is no limit.")
    if low is not None and high is not None and low > high:
        raise refuse(f"'minValue' {low} of 'range' is above 'maxValue' {high}.")
    wanted = f"the value must be at least {low}" if high is None else f"the value must be at most {high}"
    wanted = f"the value must be between {low} and {high}" if low is not None and high is not None else wanted

    def wrong(value: Scalar) -> str | None:
        number = _number(value)
        inside = number is not None and (low is None or low <= number) and (high is None or number <= high)
        return None if inside else wanted

    return wrong


def _regex(pattern: Any, refuse: Callable[[str], MalformedPolicy]) -> Callable[[Scalar], str | None]:
    if not isinstance(pattern, str) or not 0 < len(pattern) <= PATTERN_CHARACTERS:
        raise refuse(f"'regex' needs 'pattern', a text of 1 to {PATTERN_CHARACTERS} characters.")
    options = re2.Options()
    options.log_errors, options.max_mem = False, PATTERN_BYTES
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
        raise refuse(
            f"the 'pattern' of 'regex' is none: {reason}. Patterns are RE2's: they know no lookaround and no back references."
        ) from None
    return lambda value: (
        None if compiled.fullmatch(as_text(value)) else f"the value must match {pattern} as a whole"
    )


def _nothing(value: Scalar) -> str | None:
    return None


def _must_be_absent(value: Scalar) -> str | None:
    return "the attribute must not be present"


def _must_be(wanted: Scalar) -> Callable[[Scalar], str | None]:
    return lambda value: None if as_text(value) == as_text(wanted) else f"the value must be {as_text(wanted)}"


def _must_be_of(listed: list[Scalar]) -> Callable[[Scalar], str | None]:
    texts = {as_text(item) for item in listed}
    return lambda value: (
        None if as_text(value) in texts else f"the value must be one of {', '.join(map(as_text, listed))}"
    )


def _must_not_be_of(listed: list[Scalar]) -> Callable[[Scalar], str | None]:
    texts = {as_text(item) for item in listed}
    return lambda value: (
        f"the value must be none of {', '.join(map(as_text, listed))}" if as_text(value) in texts else None
    )


def _number(value: Scalar) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", value, re.ASCII):
        return float(value)
    return value if _is_number(value) else None  # type: ignore[return-value]


def _is_number(value: Any) -> bool:
    """Whether it is a number that a double holds, which NaN isn't."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def version_of(path: str, value: Scalar) -> Scalar:
    """The version that a policy's `auto:latest-lts` and its like stand for today; any other value as it is."""
    return AUTOMATIC_VERSIONS.get(str(value), value) if path == "spark_version" else value


def _pattern(rule: Rule) -> re.Pattern[str]:
    root = rule.path.partition(".")[0]
    body = re.escape(rule.path).replace(r"\*", ".+" if root in MAPS else r"\d+")
    return re.compile(body + (r"(\..+)?\Z" if is_container(rule.path) else r"\Z"), re.DOTALL)
