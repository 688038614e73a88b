"""Policy definitions: JSON texts of limitations, read and held to be sound. Pure: no HTTP, no SQL.

Stricter than Databricks, which finds a malformed definition when it is first used: here it is refused when it is created, with the attribute and
the rule. Patterns are RE2's, which match in linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal

import re2
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from labs_lib.errors import LabsError
from labs_lib.workspace.compute.catalogue import AUTOMATIC_VERSIONS
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
from labs_lib.workspace.ground.endpoints import explain

DEFINITION_CHARACTERS, RULES = 100_000, 500
# A pattern's time is its size by the value's length: these, and the bounds of specification.py, keep a request's below a second.
PATTERN_CHARACTERS, PATTERN_BYTES = 300, 1 << 16

Number = StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
Value = StrictBool | Number | StrictStr


class MalformedPolicy(LabsError):
    """A definition that says nothing sound: the sentence names the attribute and the rule."""


class Limitation(BaseModel):
    """One rule. Unless it says otherwise, the attribute that it limits has to be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    hidden: StrictBool = False

    @property
    def required(self) -> bool:
        return True

    def wrong(self, value: Scalar) -> str | None:
        """What the value must be, or None for one that may stand."""
        return None

    def filling(self, defaults: bool) -> Scalar | None:
        """What it fills in where a cluster says nothing; values by default only if these are asked for."""
        return None


class Fixed(Limitation):
    type: Literal["fixed"]
    value: Value

    def wrong(self, value: Scalar) -> str | None:
        wanted = as_text(self.value)
        return None if as_text(value) == wanted else f"the value must be {wanted}"

    def filling(self, defaults: bool) -> Scalar | None:
        return self.value


class Forbidden(Limitation):
    type: Literal["forbidden"]

    @property
    def required(self) -> bool:
        return False

    def wrong(self, value: Scalar) -> str | None:
        return "the attribute must not be present"


class Unlimited(Limitation):
    """Any value; and what the limits below have in common with it."""

    type: Literal["unlimited"]
    isOptional: StrictBool = False
    defaultValue: Value | None = None

    @property
    def required(self) -> bool:
        return not self.isOptional

    def filling(self, defaults: bool) -> Scalar | None:
        return self.defaultValue if defaults else None


class Listed(Unlimited):
    type: Literal["allowlist", "blocklist"]  # type: ignore[assignment]
    values: Annotated[list[Value], Field(min_length=1)]

    def wrong(self, value: Scalar) -> str | None:
        texts = [as_text(item) for item in self.values]
        if (as_text(value) in texts) == (self.type == "allowlist"):
            return None
        return f"the value must be {'one' if self.type == 'allowlist' else 'none'} of {', '.join(texts)}"


class Range(Unlimited):
    type: Literal["range"]  # type: ignore[assignment]
    minValue: Number | None = None
    maxValue: Number | None = None

    @model_validator(mode="after")
    def _sound(self) -> Range:
        low, high = self.minValue, self.maxValue
        if low is None and high is None:
            raise ValueError("needs minValue or maxValue; use 'unlimited' where there is no limit")
        if low is not None and high is not None and low > high:
            raise ValueError(f"minValue {low} is above maxValue {high}")
        return self

    def wrong(self, value: Scalar) -> str | None:
        low, high, number = self.minValue, self.maxValue, _number(value)
        if number is not None and (low is None or low <= number) and (high is None or number <= high):
            return None
        if low is None or high is None:
            return (
                f"the value must be at least {low}" if high is None else f"the value must be at most {high}"
            )
        return f"the value must be between {low} and {high}"


class Regex(Unlimited):
    type: Literal["regex"]  # type: ignore[assignment]
    pattern: Annotated[StrictStr, Field(min_length=1, max_length=PATTERN_CHARACTERS)]

    @model_validator(mode="after")
    def _sound(self) -> Regex:
        try:
            assert self._compiled
        except re2.error as error:
            reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
            raise ValueError(
                f"the pattern is none: {reason}. Patterns are RE2's: they know no lookaround and no back references"
            ) from None
        return self

    @cached_property
    def _compiled(self) -> Any:
        options = re2.Options()
        options.log_errors, options.max_mem = False, PATTERN_BYTES
        return re2.compile(self.pattern, options)

    def wrong(self, value: Scalar) -> str | None:
        return (
            None
            if self._compiled.fullmatch(as_text(value))
            else f"the value must match {self.pattern} as a whole"
        )


_RULE: TypeAdapter[Fixed | Forbidden | Unlimited | Listed | Range | Regex] = TypeAdapter(
    Annotated[Fixed | Forbidden | Unlimited | Listed | Range | Regex, Field(discriminator="type")]
)


@dataclass(frozen=True)
class Policy:
    """A definition that was read: rules of very attributes by path, those with `*` as patterns."""

    rules: Mapping[str, Limitation]
    wild: tuple[tuple[re.Pattern[str], Limitation], ...]

    def rule_for(self, path: str) -> Limitation | None:
        """The one rule that applies to an attribute of a cluster."""
        if rule := self.rules.get(path):
            return rule
        return next((rule for pattern, rule in self.wild if pattern.match(path)), None)


def parse(definition: str) -> Policy:
    """Read a definition, a JSON text. Raises MalformedPolicy, which names the attribute and the rule that is wrong."""
    if len(definition) > DEFINITION_CHARACTERS:
        raise MalformedPolicy(
            f"The policy definition has {len(definition)} characters, {DEFINITION_CHARACTERS} are allowed."
        )
    return _parsed(definition)


@lru_cache(maxsize=100)
def _parsed(definition: str) -> Policy:
    try:
        found = json.loads(definition, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedPolicy(f"The policy definition is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise MalformedPolicy(
            "The policy definition must be a JSON object of attributes and their limitations."
        )
    if len(found) > RULES:
        raise MalformedPolicy(f"The policy definition has {len(found)} limitations, {RULES} are allowed.")
    rules = {path: _rule(path, entry) for path, entry in found.items()}
    # A `*` deeper inside is the more particular one: init_scripts.*.s3.destination goes before init_scripts.*.
    wild = sorted(
        (path for path in rules if "*" in path.split(".") or is_container(path)), key=len, reverse=True
    )
    return Policy(
        {path: rule for path, rule in rules.items() if "*" not in path.split(".")},
        tuple((_pattern(path), rules[path]) for path in wild),
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedPolicy(
            f"{twice!r} is named twice in the policy definition: one limitation an attribute."
        )
    return found


def _rule(path: str, entry: Any) -> Limitation:
    def refuse(sentence: str) -> MalformedPolicy:
        return MalformedPolicy(f"Policy attribute {path!r}: {sentence}")

    if path == "spark_version" and isinstance(entry, dict):
        entry = {name: _versions(value) for name, value in entry.items()}
    try:
        rule = _RULE.validate_python(entry)
    except ValidationError as error:
        raise refuse(explain(error)) from None
    expects = type_of(path)
    if expects is None and not (isinstance(rule, Forbidden) and is_container(path)):
        raise refuse("is no attribute that a policy can limit.")
    if isinstance(rule, Forbidden) and path in VIRTUAL:
        raise refuse("every cluster has it, so 'forbidden' can't be kept.")
    if isinstance(rule, Range) and expects != NUMBER and path.partition(".")[0] not in MAPS:
        raise refuse("'range' limits numbers, and this attribute is none.")
    default = getattr(rule, "defaultValue", None)
    for value in (*getattr(rule, "values", ()), getattr(rule, "value", None), default):
        is_truth = isinstance(value, bool)
        if value is not None and (
            (expects == NUMBER and (is_truth or isinstance(value, str)))
            or (expects == BOOLEAN and not is_truth)
        ):
            raise refuse(f"its values must be {expects} (is {json.dumps(value)[:80]}).")
    if default is not None and (sentence := rule.wrong(default)):
        raise refuse(f"its own 'defaultValue' {json.dumps(default)} is refused by it: {sentence}.")
    return rule


def _versions(value: Any) -> Any:
    return [version_of(item) for item in value] if isinstance(value, list) else version_of(value)


def version_of(value: Any) -> Any:
    """The version that `auto:latest-lts` and its like stand for today; any other value as it is."""
    return AUTOMATIC_VERSIONS.get(value, value) if isinstance(value, str) else value


def _number(value: Scalar) -> float | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", value, re.ASCII):
        return float(value)
    return None if isinstance(value, str | bool) else value


def _pattern(path: str) -> re.Pattern[str]:
    body = re.escape(path).replace(r"\*", ".+" if path.partition(".")[0] in MAPS else r"\d+")
    return re.compile(body + (r"(\..+)?\Z" if is_container(path) else r"\Z"), re.DOTALL)
