"""An endpoint as data: method, path, what comes in as a pydantic model, and the function that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from starlette.responses import Response

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter

MAX_BODY = 2**20  # bytes

M = TypeVar("M", bound=BaseModel)

# A name that people and SQL can write down: no quotes, no control characters, no slash or backslash.
Name = Annotated[
    str,
    StringConstraints(pattern=r"""^[^\x00-\x1f\x7f-\x9f'"`\\/]+$""", max_length=255, strip_whitespace=True),
]
# Text for people: no control characters other than line breaks and tabs.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$", max_length=10_000)]


class Model(BaseModel):
    """What a request says. Fields that are not known are ignored, as the REST API does; `extra="forbid"` refuses them."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, defer_build=True)


class Strict(Model):
    """What is declared, which comes from a learner's notebook: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


class Later:
    """An answer that takes long: `finish` is called outside the transaction, and may open others by `ctx.services.transaction()`."""

    def __init__(self, finish: Callable[[], Mapping[str, Any] | Response]) -> None:
        self.finish = finish


Answer = Mapping[str, Any] | Response | Later | None


@dataclass(frozen=True)
class Endpoint:
    """`model` is filled from the path's parameters, the query, and the body: JSON's fields, a form's fields and files (bytes), or
    for `application/octet-stream` the field `contents`. `audit` names service and action of the audit row; what is in `hidden` stays out of it.
    """

    method: str
    path: str  # as Starlette writes it: /api/2.0/token/{token_id}
    handle: Callable[[Context, Any], Answer]
    model: type[BaseModel] = Model
    audit: tuple[str, str] | None = None
    hidden: frozenset[str] = frozenset()
    max_body: int = MAX_BODY
    anonymous: bool = False  # answered without a token


def validated(model: type[M], fields: Mapping[str, Any]) -> M:
    """The model with these fields. Raises InvalidParameter, which names the first field that is wrong, and why."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidParameter(explain(error)) from None


def explain(error: ValidationError) -> str:
    """One sentence about the first thing that is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    more = f" ({error.error_count()} fields are wrong)" if error.error_count() > 1 else ""
    if first["type"] == "missing":
        return f"{where} is missing; the request has to give it{more}."
    given = repr(first["input"])
    given = given if len(given) <= 80 else f"{given[:80]}…"
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where} is {given}: {reason[:1].lower()}{reason[1:]}{more}."
