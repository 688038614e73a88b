"""What may be shown or read of text that a learner's code wrote: JSON that cannot exhaust or confuse its reader, and sentences.

JSON rules are those of RFC 8259 plus unique names, finite numbers and bounded sizes.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any, NoReturn

from labs_lib.errors import LabsError

MAX_JSON_ITEMS = (
    2_000_000  # commas and brackets: a megabyte of `[]` would become a hundred megabytes of lists
)
MAX_DIGITS = sys.int_info.str_digits_check_threshold  # Python converts so many digits whatever its settings

_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Rejected(LabsError):
    """Something from a sandbox that may not be used: the sentence says what and where."""


def parse_json(data: bytes, max_depth: int, where: str) -> Any:
    """The JSON value in `data`; `where` names it in sentences. Raises Rejected if it is not strict, bounded
    JSON.
    """
    text = _bounded(data, max_depth, where)
    try:
        value = _value(
            text,
            where,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
            object_pairs_hook=_unique,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Rejected(f"{where} holds half of a surrogate pair, which is no text.") from None
    except _Unusable as problem:
        raise Rejected(f"{where} {problem}.") from None
    return value


class Twice(dict[str, Any]):
    """An object that gives a name twice, in JSON that is read loosely; the last value is kept."""


def parse_loosely(data: bytes, max_depth: int, where: str) -> Any:
    """The JSON value in `data`, bounded as in parse_json, for whoever skips most of it and looks at the rest.

    Numbers that JSON doesn't have (NaN, infinities) or that take long to read are None, an object that gives a name twice
    is a Twice, and text may hold halves of surrogate pairs. Raises Rejected, with `where` in the sentence.
    """

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(found)
        return value if len(value) == len(found) else Twice(value)

    def whole(digits: str) -> int | None:
        return int(digits) if len(digits) <= MAX_DIGITS else None

    def real(digits: str) -> float | None:
        value = float(digits) if len(digits) <= MAX_DIGITS else math.inf
        return value if math.isfinite(value) else None

    return _value(
        _bounded(data, max_depth, where),
        where,
        parse_int=whole,
        parse_float=real,
        parse_constant=lambda _: None,
        object_pairs_hook=pairs,
    )


def _bounded(data: bytes, max_depth: int, where: str) -> str:
    """The text of `data`. Depth and number of items are counted on it, before Python's parser recurses into it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(f"{where} is not valid UTF-8 at byte {error.start}.") from None
    depth = items = 0
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if mark[0] == '"':
            continue
        items += 1
        depth += (mark in "[{") - (mark in "]}")
        if depth > max_depth:
            _reject(where, f"is nested deeper than {max_depth} levels")
        if items > MAX_JSON_ITEMS:
            _reject(where, f"holds more than {MAX_JSON_ITEMS:,} items")
    return text


def _value(text: str, where: str, **rules: Any) -> Any:
    try:
        return json.loads(text, **rules)
    except (ValueError, RecursionError) as error:
        raise Rejected(f"{where} is not valid JSON: {str(error)[:100]}.") from None


class _Unusable(Exception):
    """The end of a sentence about a JSON value."""


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _Unusable(f"holds a number of {len(digits):,} digits; {MAX_DIGITS} are allowed")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise _Unusable(f"holds {digits[:20]}, which is no finite number")
    return number


def _constant(name: str) -> NoReturn:
    raise _Unusable(f"holds {name}, which is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Unusable("gives the same name twice in one object")
    return value


def _reject(path: str, what: str) -> NoReturn:
    raise Rejected(f"{shown(path)} {what}.")


def shown(text: str, length: int = 120) -> str:
    """Text of a learner's as it may stand in a report: printable and short."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return plain if len(plain) <= length else plain[:length] + "\N{HORIZONTAL ELLIPSIS}"
