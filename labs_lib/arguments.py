"""Tells whoever calls a function in a sentence which argument it can't use, before anything is done with it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from labs_lib.errors import LabsError

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse arguments that do not fit its signature and type hints, with a LabsError.

    NumPy's numbers are handed on as Python's, since figures of a table are as good as figures that were typed.
    """
    signature = inspect.signature(function)
    hints: dict[str, Any] = {}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not hints:  # resolved late: a module's own names are not all there when its functions are made
            hints.update(typing.get_type_hints(function))
        name = function.__qualname__.removesuffix(".__init__")
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise LabsError(
                f"{name} can't be called like this: {error}. It is {name}{_shown(signature)}."
            ) from None
        for argument, value in bound.arguments.items():
            bound.arguments[argument] = value = value.item() if isinstance(value, np.generic) else value
            several = signature.parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL
            try:
                for each in value if several else (value,):
                    check_type(
                        each,
                        hints.get(argument, Any),
                        collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
                    )
            except TypeCheckError as error:
                raise LabsError(
                    f"{name} can't use the `{argument}` that it was given: {' '.join(str(error).split())}. It is {name}{_shown(signature)}."
                ) from None
        return function(*bound.args, **bound.kwargs)

    return call


def callable_with(function: object, name: str, *arguments: str) -> None:
    """Raise LabsError unless `function` is one that can be called as `name(*arguments)`."""
    shown = f"{name}({', '.join(arguments)})"
    if not callable(function):
        raise LabsError(f"A function {shown} is needed; it was given {type(function).__name__}.")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise LabsError(f"The function can't be called as {shown}: {error}.") from None
    except ValueError:  # a builtin without a signature
        pass


def plain_name(what: str, name: str) -> str:
    """The name, if it is a plain word that can name a folder or a table. Raises LabsError if it is none; `what` begins the sentence."""
    if not isinstance(name, str) or not name.isidentifier():
        raise LabsError(f"{what} can't be called {name!r}; use letters, digits and underscores.")
    return name


def _shown(signature: inspect.Signature) -> str:
    several = inspect.Parameter.VAR_POSITIONAL
    names = (f"*{each.name}" if each.kind is several else each.name for each in signature.parameters.values())
    return f"({', '.join(name for name in names if name != 'self')})"
