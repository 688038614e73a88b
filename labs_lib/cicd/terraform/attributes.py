"""What resources are made of: attributes and blocks with the names of `databricks/databricks`, and their values on Terraform's wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import msgpack

from labs_lib.cicd.terraform.messages import MESSAGES

Type = Literal["string", "number", "bool", "strings", "map"]
_TYPES: dict[str, Any] = {
    "string": "string",
    "number": "number",
    "bool": "bool",
    "strings": ["list", "string"],
    "map": ["map", "string"],
}
_NESTING = {"list": 2, "set": 3}
EMPTY: tuple[Any, ...] = (None, "", 0, False, [], {})


class Unknown:
    """A value that is known only after an apply."""

    def __repr__(self) -> str:
        return "(known after apply)"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Attribute:
    """`required`, else optional; a `computed` one is told by the workspace. Another value of one with `replaces` needs a new resource.

    `usual` is what the workspace has where nothing was said.
    """

    type: Type = "string"
    required: bool = False
    computed: bool = False
    sensitive: bool = False
    replaces: bool = False
    usual: Any = None


@dataclass(frozen=True)
class Block:
    """Attributes and blocks by name. `nesting` and `most` say how a block stands in another."""

    attributes: dict[str, Attribute] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    nesting: Literal["list", "set"] = "list"
    most: int = 0

    def message(self) -> Any:
        """As the protocol describes it."""
        return MESSAGES["Block"](
            attributes=[
                MESSAGES["Attribute"](
                    name=name,
                    type=json.dumps(_TYPES[each.type]).encode(),
                    required=each.required,
                    optional=not each.required and not each.computed,
                    computed=each.computed,
                    sensitive=each.sensitive,
                )
                for name, each in sorted(self.attributes.items())
            ],
            block_types=[
                MESSAGES["NestedBlock"](
                    type_name=name, block=each.message(), nesting=_NESTING[each.nesting], max_items=each.most
                )
                for name, each in sorted(self.blocks.items())
            ],
        )

    def whole(self, value: dict[str, Any]) -> dict[str, Any]:
        """A value with null for each attribute that it doesn't name, and no blocks of those."""
        told = {name: value.get(name) for name in self.attributes}
        return told | {
            name: [each.whole(one) for one in value.get(name) or []] for name, each in self.blocks.items()
        }

    def said(self, value: dict[str, Any]) -> dict[str, Any]:
        """A value without what nobody said."""
        told = {name: value[name] for name in self.attributes if value.get(name) is not None}
        blocks = {
            name: [each.said(one) for one in value.get(name) or []] for name, each in self.blocks.items()
        }
        return told | {name: each for name, each in blocks.items() if each}

    def as_found(self, found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        """What the workspace has, as a state: what nobody said and is as usual stays unsaid."""
        told: dict[str, Any] = {}
        for name, attribute in self.attributes.items():
            value, old = found.get(name, before.get(name) if attribute.sensitive else None), before.get(name)
            unsaid = old in EMPTY and (value in EMPTY or value == attribute.usual)
            told[name] = old if unsaid else value
        for name, block in self.blocks.items():
            olds, news = before.get(name) or [], found.get(name) or []
            told[name] = [block.as_found(new, olds[n] if n < len(olds) else {}) for n, new in enumerate(news)]
        return told


def decoded(message: Any) -> Any:
    """The value of a message, null as None."""
    if message.msgpack:
        return msgpack.unpackb(message.msgpack, ext_hook=lambda code, data: UNKNOWN, strict_map_key=False)
    return json.loads(message.json) if message.json else None


def encoded(value: Any) -> Any:
    """A message with that value."""
    return MESSAGES["DynamicValue"](msgpack=msgpack.packb(value, default=_unknown))


def _unknown(value: Any) -> Any:
    if value is UNKNOWN:
        return msgpack.ExtType(0, b"\x00")
    raise TypeError(f"{value!r} is no value of Terraform's")
