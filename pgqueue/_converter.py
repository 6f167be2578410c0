"""What a converter is, and those for pydantic and msgspec types: used when the program has imported these libraries."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, Union

from pgqueue._json import dumps
from pgqueue.models import JSON

__all__ = [
    "ANY",
    "ARRAY",
    "NULL",
    "NUMBER_OR_STRING",
    "OBJECT",
    "SHAPE_OF",
    "STRING",
    "Converter",
    "Shape",
    "model_converter",
    "model_union",
    "named",
]

Shape: TypeAlias = Literal["null", "boolean", "number", "string", "array", "object"]

ANY: frozenset[Shape] = frozenset({"null", "boolean", "number", "string", "array", "object"})
NULL: frozenset[Shape] = frozenset({"null"})
STRING: frozenset[Shape] = frozenset({"string"})
NUMBER_OR_STRING: frozenset[Shape] = frozenset({"number", "string"})
OBJECT: frozenset[Shape] = frozenset({"object"})
ARRAY: frozenset[Shape] = frozenset({"array"})

SHAPE_OF: dict[type, Shape] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    tuple: "array",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class Converter:
    """`encode` raises TypeError for values `accepts` is false for; `decode` raises ValueError, TypeError or what the
    type raises.
    """

    encode: Callable[[Any], JSON]
    decode: Callable[[JSON], Any]
    accepts: Callable[[Any], bool]
    shapes: frozenset[Shape]
    """What the JSON can be: tells the members of a union apart."""


def named(kind: type) -> str:
    return (
        kind.__qualname__
        if kind.__module__ in ("builtins", "datetime", "uuid", "decimal")
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def model_converter(kind: type) -> Converter | None:
    """For pydantic models and dataclasses and msgspec Structs; None for other classes."""
    return _pydantic(kind) or _msgspec(kind)


def _pydantic(kind: type) -> Converter | None:
    if "pydantic" not in sys.modules or not hasattr(kind, "__pydantic_core_schema__"):
        return None
    return _adapted(kind, lambda value: type(value) is kind)


def _adapted(annotation: Any, accepts: Callable[[Any], bool]) -> Converter:
    adapter = sys.modules["pydantic"].TypeAdapter(annotation)

    def encode(value: Any) -> JSON:
        if not accepts(value):
            raise TypeError(f"is of type {named(type(value))}, which the annotation does not name")
        return adapter.dump_python(value, mode="json", by_alias=True)

    # validate_json, not validate_python: strict models take a string for a datetime only from JSON
    return Converter(encode, lambda value: adapter.validate_json(dumps(value)), accepts, OBJECT)


def _msgspec(kind: Any) -> Converter | None:
    msgspec = sys.modules.get("msgspec")
    if msgspec is None or not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return None
    return _structs(kind, (kind,))


def _structs(annotation: Any, kinds: tuple[type, ...]) -> Converter:
    msgspec = sys.modules["msgspec"]

    def accepts(value: Any) -> bool:
        return type(value) in kinds

    def encode(value: Any) -> JSON:
        if not accepts(value):
            raise TypeError(f"is of type {named(type(value))}, which the annotation does not name")
        return msgspec.to_builtins(value, str_keys=True)

    is_array = any(getattr(kind, "__struct_config__").array_like for kind in kinds)  # noqa: B009 - unknown to type checkers
    shapes: frozenset[Shape] = ARRAY if is_array else OBJECT
    return Converter(encode, lambda value: msgspec.convert(value, annotation, str_keys=True), accepts, shapes)


def model_union(annotation: Any) -> Converter | None:
    """Unions of nothing but pydantic models or of msgspec Structs: these libraries tell the members apart themselves
    (tags).
    """
    union = typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation
    if typing.get_origin(union) not in (Union, types.UnionType):
        return None
    members = tuple(member for member in typing.get_args(union) if member is not type(None))
    if len(members) < 2 or len(members) < len(typing.get_args(union)) or not all(isinstance(m, type) for m in members):
        return None
    if "pydantic" in sys.modules and all(hasattr(member, "__pydantic_core_schema__") for member in members):
        return _adapted(annotation, lambda value: type(value) in members)
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and all(issubclass(member, msgspec.Struct) for member in members):
        return _structs(annotation, members)
    return None
