"""Typed Python values to JSON and back, by annotation.

`converter_for(annotation)` gives the way there and back, or None where the annotation promises nothing but plain JSON,
which then travels untouched. Converted: dataclasses, enums, datetime, date, time, timedelta, UUID, Decimal, paths,
named tuples, typed dicts, pydantic models, msgspec Structs; lists, tuples, mappings with string keys and unambiguous
unions of these. Conversion is strict: a value that is not of the annotated type, or would come back as another type,
raises TypeError. pydantic and msgspec are used when the user's program has imported them, never imported first.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, Literal, Union, cast
from uuid import UUID

from pgqueue._converter import (
    ANY,
    ARRAY,
    NULL,
    NUMBER_OR_STRING,
    OBJECT,
    SHAPE_OF,
    STRING,
    Converter,
    Shape,
    model_converter,
    model_union,
    named,
)
from pgqueue._json import JsonText, check, dumps
from pgqueue.models import JSON

__all__ = ["Converter", "converter_for", "dumps_value", "to_json"]


def converter_for(annotation: Any) -> Converter | None:
    """The converter for an annotation, or None: its values must be plain JSON, which `dumps` checks."""
    while True:
        if isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        elif typing.get_origin(annotation) is typing.Annotated:
            model = model_union(annotation)
            if model is not None:
                return model
            annotation = typing.get_args(annotation)[0]
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    origin = typing.get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _union(annotation)
    if origin is None and isinstance(annotation, type):
        return _of_class(annotation)
    return _of_generic(origin, annotation) if isinstance(origin, type) else None


def to_json(value: Any) -> JSON:
    """Plain JSON for a value whose annotation says nothing, by the types met inside; for results. Raises TypeError."""
    kind = type(value)
    if kind in SHAPE_OF and kind not in (list, tuple, dict):
        return value
    if isinstance(value, Mapping):
        return {key.value if isinstance(key, enum.Enum) else key: to_json(item) for key, item in value.items()}
    converter = _of_class(kind)
    if converter is not None:
        return converter.encode(value)
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def dumps_value(value: Any, what: str, converter: Converter | None = None) -> JsonText:
    """Strict JSON text of a result: by its converter where that fits, else as plain JSON, else by the value's own
    types.

    Raises NotSerialisable.
    """
    if converter is not None and converter.accepts(value):
        return dumps(converter.encode(value), what)
    try:
        return dumps(value, what)
    except TypeError:
        plain = to_json(value)
        check(plain, what)
        return dumps(plain, what)


# -- single classes ---------------------------------------------------------------------------------------------------


def _strict(kind: type, encode: Callable[[Any], JSON], accepts: Callable[[Any], bool]) -> Callable[[Any], JSON]:
    def checked(value: Any) -> JSON:
        if not accepts(value):
            raise TypeError(f"is of type {named(type(value))}, not {named(kind)} as annotated")
        return encode(value)

    return checked


def _simple(
    kind: type,
    encode: Callable[[Any], JSON],
    decode: Callable[[Any], Any],
    shapes: frozenset[Shape],
    accepts: Callable[[Any], bool] | None = None,
) -> Converter:
    is_one = accepts or (lambda value: isinstance(value, kind))
    return Converter(_strict(kind, encode, is_one), decode, is_one, shapes)


def _from_span(span: timedelta) -> float | str:
    seconds = span.total_seconds()
    if timedelta(seconds=seconds) == span:
        return int(seconds) if seconds.is_integer() else seconds
    return str(Decimal(span // timedelta(microseconds=1)).scaleb(-6))


def _to_span(value: JSON) -> timedelta:
    if isinstance(value, str):
        return timedelta(microseconds=int(Decimal(value).scaleb(6)))
    return timedelta(seconds=value)


_SIMPLE: dict[type, Converter] = {
    datetime: _simple(datetime, lambda value: value.isoformat(), datetime.fromisoformat, STRING),
    date: _simple(
        date,
        lambda value: value.isoformat(),
        date.fromisoformat,
        STRING,
        lambda value: isinstance(value, date) and not isinstance(value, datetime),
    ),
    time: _simple(time, lambda value: value.isoformat(), time.fromisoformat, STRING),
    timedelta: _simple(timedelta, _from_span, _to_span, NUMBER_OR_STRING),
    UUID: _simple(UUID, str, UUID, STRING),
    Decimal: _simple(Decimal, str, lambda value: Decimal(str(value)), NUMBER_OR_STRING),
}


def _of_class(kind: type) -> Converter | None:
    if kind in SHAPE_OF:
        return _tuple((Any, ...)) if kind is tuple else None
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    if issubclass(kind, enum.Enum):
        return _enum(kind)
    model = model_converter(kind)
    if model is not None:
        return model
    if dataclasses.is_dataclass(kind):
        return _record(kind, _Fields(kind))
    if typing.is_typeddict(kind):
        return _typed_dict(kind)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return _record(kind, _Fields(kind))
    if issubclass(kind, PurePath):
        made = Path if kind is type(Path()) else kind
        return _simple(kind, str, made, STRING)
    for base in (datetime, UUID, Decimal):
        if issubclass(kind, base):
            return _SIMPLE[base]
    return None


def _enum(kind: type[enum.Enum]) -> Converter:
    """By value where values are JSON scalars, else by name."""
    values = [member.value for member in kind]
    if all(type(value) in (str, int, float, bool, type(None)) for value in values):
        shapes: frozenset[Shape] = frozenset(SHAPE_OF[type(value)] for value in values)
        return _simple(kind, lambda member: member.value, kind, shapes)
    return _simple(kind, lambda member: member.name, lambda name: kind[name], STRING)


class _Fields:
    """The fields of a dataclass or named tuple and their converters, resolved at first use: types may refer to
    themselves.
    """

    def __init__(self, kind: type) -> None:
        self.kind = kind

    @cached_property
    def names(self) -> tuple[str, ...]:
        if dataclasses.is_dataclass(self.kind):
            return tuple(field.name for field in dataclasses.fields(self.kind) if field.init)
        return cast("tuple[str, ...]", self.kind._fields)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    @cached_property
    def converters(self) -> dict[str, Converter | None]:
        hints = typing.get_type_hints(self.kind, include_extras=True)
        return {name: converter_for(hints.get(name, Any)) for name in self.names}

    def encode(self, value: Any) -> JSON:
        found: dict[str, JSON] = {}
        for name, converter in self.converters.items():
            item = getattr(value, name)
            try:
                found[name] = item if converter is None else converter.encode(item)
            except TypeError as error:
                raise TypeError(f"has a field {name!r} that {error}") from error
        return found

    def decode(self, value: JSON) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object for {named(self.kind)}, got {type(value).__name__}")
        converters = self.converters
        unknown = value.keys() - converters.keys()
        if unknown:
            raise ValueError(f"{named(self.kind)} has no field {sorted(unknown)[0]!r}")
        made = {}
        for name, item in value.items():
            converter = converters[name]
            made[name] = item if converter is None else converter.decode(item)
        return self.kind(**made)


def _record(kind: type, record: _Fields) -> Converter:
    def accepts(value: Any) -> bool:
        return type(value) is kind

    return Converter(_strict(kind, record.encode, accepts), record.decode, accepts, OBJECT)


def _typed_dict(kind: type) -> Converter | None:
    hints = typing.get_type_hints(kind, include_extras=True)
    needed = {
        name: converter for name, hint in hints.items() if (converter := converter_for(_unqualified(hint))) is not None
    }
    if not needed:
        return None

    def each(value: Any, way: str) -> JSON:
        return {name: getattr(needed[name], way)(item) if name in needed else item for name, item in value.items()}

    return _simple(dict, lambda value: each(value, "encode"), lambda value: each(value, "decode"), OBJECT)


def _unqualified(hint: Any) -> Any:
    while typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        hint = typing.get_args(hint)[0]
    return hint


# -- containers and unions --------------------------------------------------------------------------------------------

_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)


def _of_generic(origin: type, annotation: Any) -> Converter | None:
    arguments = typing.get_args(annotation)
    if origin in _LISTS:
        return _list(converter_for(arguments[0]))
    if origin is tuple:
        return _tuple(arguments)
    if origin in _MAPPINGS:
        return _mapping(converter_for(arguments[1])) if arguments[0] in (str, Any) else None
    if origin is type or origin in (set, frozenset):
        return None
    return _of_class(origin)


def _list(item: Converter | None) -> Converter | None:
    if item is None:
        return None
    encode, decode = item.encode, item.decode
    return _simple(
        list,
        lambda value: [encode(element) for element in value],
        lambda value: [decode(element) for element in value],
        ARRAY,
        lambda value: isinstance(value, list | tuple),
    )


def _mapping(item: Converter | None) -> Converter | None:
    if item is None:
        return None
    encode, decode = item.encode, item.decode
    return _simple(
        dict,
        lambda value: {key: encode(element) for key, element in value.items()},
        lambda value: {key: decode(element) for key, element in value.items()},
        OBJECT,
        lambda value: isinstance(value, Mapping),
    )


def _tuple(arguments: tuple[Any, ...]) -> Converter:
    """JSON has lists only: a tuple always needs the way back."""
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = converter_for(arguments[0])
        encode = list if item is None else lambda value: [item.encode(element) for element in value]
        decode = tuple if item is None else lambda value: tuple(item.decode(element) for element in value)
        return _simple(tuple, encode, decode, ARRAY)
    items = [converter_for(argument) for argument in arguments]

    def each(value: Any, way: str) -> list[Any]:
        if len(value) != len(items):
            raise TypeError(f"has {len(value)} elements, not {len(items)} as annotated")
        return [
            element if item is None else getattr(item, way)(element) for item, element in zip(items, value, strict=True)
        ]

    return _simple(tuple, lambda value: each(value, "encode"), lambda value: tuple(each(value, "decode")), ARRAY)


def _plain_shapes(annotation: Any) -> frozenset[Shape]:
    """What the JSON of an annotation without converter can be."""
    if annotation is None:
        return frozenset({"null"})
    origin = typing.get_origin(annotation) or annotation
    if origin is Literal:
        return frozenset(SHAPE_OF.get(type(value), "string") for value in typing.get_args(annotation))
    if origin in _LISTS:
        return ARRAY
    if origin in _MAPPINGS or typing.is_typeddict(origin):
        return OBJECT
    shape = SHAPE_OF.get(origin) if isinstance(origin, type) else None
    return ANY if shape is None else frozenset({shape})


def _union(annotation: Any) -> Converter | None:
    arguments = typing.get_args(annotation)
    rest = tuple(member for member in arguments if member is not type(None))
    if len(rest) < len(arguments):
        return _optional(converter_for(Union[rest])) if rest else None  # noqa: UP007 - a tuple made at run time
    model = model_union(annotation)
    if model is not None:
        return model
    members = [(member, converter_for(member)) for member in arguments]
    typed = [converter for _, converter in members if converter is not None]
    if not typed:
        return None
    shapes = [_plain_shapes(member) if converter is None else converter.shapes for member, converter in members]
    by_shape: dict[Shape, Converter] = {shape: converter for converter in typed for shape in converter.shapes}
    plain = frozenset().union(*shapes) - by_shape.keys()
    for shape in by_shape:
        if sum(shape in of_member for of_member in shapes) > 1:
            # Read back it could be either: such a parameter takes plain JSON only, and says so when it gets something
            # else.
            return None

    def accepts(value: Any) -> bool:
        return SHAPE_OF.get(type(value)) in plain or any(converter.accepts(value) for converter in typed)

    def encode(value: Any) -> JSON:
        for converter in typed:
            if converter.accepts(value):
                return converter.encode(value)
        if SHAPE_OF.get(type(value)) not in plain:
            raise TypeError(f"is of type {named(type(value))}, which the annotation does not name")
        return value

    def decode(value: JSON) -> Any:
        converter = by_shape.get(SHAPE_OF[type(value)])
        return value if converter is None else converter.decode(value)

    return Converter(encode, decode, accepts, plain | by_shape.keys())


def _optional(inner: Converter | None) -> Converter | None:
    if inner is None:
        return None
    return Converter(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
        lambda value: value is None or inner.accepts(value),
        inner.shapes | NULL,
    )
