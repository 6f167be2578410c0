"""Plain JSON out and in: strict on the way out, so that what a handler gets is what was passed.

`dumps` refuses what JSON or jsonb cannot carry (NaN, sets, bytes, NUL characters, lone surrogates, keys that are not
strings, objects) and names the place. The common case costs one C call and a look at the types of each container; only
a refusal walks. Types with a converter (dataclasses, datetimes, pydantic models ...) are the business of
`pgqueue.convert`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NewType, cast

from pgqueue._markers import Marker
from pgqueue.errors import NotSerialisable
from pgqueue.models import JSON

__all__ = ["JsonText", "check", "dumps", "dumps_lossy", "loads"]

JsonText = NewType("JsonText", str)
"""JSON that `dumps` or `dumps_lossy` has made: goes to the server as it is."""

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# JSONEncoder.encode makes its C encoder anew at every call, which costs more than encoding small args.
_make: Any = getattr(json.encoder, "c_make_encoder", None)
_encode_chunks = _make and _make(
    None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
)
_SCALARS = frozenset({str, int, float, bool, type(None)})
_ONLY_STR = frozenset({str})
_HINTS: dict[type, str] = {
    set: "JSON has no sets: pass a list",
    frozenset: "JSON has no sets: pass a list",
    bytes: "JSON has no bytes: pass text, base64 say, or a reference to where the bytes are",
    bytearray: "JSON has no bytes: pass text, base64 say, or a reference to where the bytes are",
    Marker: "it stands for a whole argument of a call that comes after another one: in a chain, in on_success or "
    "on_error, or with depends_on",
}
_HINT = (
    "use plain JSON values, or annotate it with a type that is converted: "
    "dataclass, Enum, datetime, date, UUID, Decimal, pydantic model, msgspec Struct"
)


def loads(text: str) -> JSON:
    return json.loads(text)


def dumps(value: JSON, what: str = "value") -> JsonText:
    """Strict JSON text of `value`.

    `what` names the value in messages; for an object its keys are named instead ("argument 'x'" comes from
    `what="argument"`). Raises NotSerialisable.
    """
    kind = type(value)
    if kind not in _SCALARS:
        if kind is dict:
            if not (_ONLY_STR.issuperset(map(type, value)) and _SCALARS.issuperset(map(type, value.values()))):
                check(value, what)
        else:
            check(value, what)
    try:
        text = "".join(_encode_chunks(value, 0)) if _encode_chunks else _encoder.encode(value)
    except (ValueError, RecursionError) as error:
        check(value, what, scalars=True)
        raise NotSerialisable(f"{what} cannot be written as JSON: {error}") from error
    if "\\u0000" in text or not (text.isascii() or _encodable(text)):
        # "\\u0000" also shows up as the text backslash-u-0000, which is fine: the walk tells.
        check(value, what, scalars=True)
    return cast(JsonText, text)


def dumps_lossy(value: JSON) -> JsonText:
    """JSON text of `value`, what cannot be carried made readable: for error documents, which are never refused."""
    return dumps(_readable(value))


def check(value: JSON, what: str, *, scalars: bool = False) -> None:
    """Raises NotSerialisable naming the first place that plain JSON cannot carry; `scalars` also looks into strings and
    numbers.
    """
    for path, reason, hint in _faults(value, "", scalars, 0):
        raise NotSerialisable(f"{_place(what, path)} {reason}", hint)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(what: str, path: str) -> str:
    if what == "argument" and path.startswith("."):
        name, cut, rest = path[1:].replace("[", ".[", 1).partition(".")
        return f"argument {name!r}" + (f" (at {rest if rest.startswith('[') else '.' + rest})" if cut else "")
    return f"{what}" + (f" (at {path})" if path else "")


def _faults(value: Any, path: str, scalars: bool, depth: int) -> Iterator[tuple[str, str, str | None]]:
    kind = type(value)
    if kind in _SCALARS:
        if scalars:
            yield from _scalar_faults(value, path)
        return
    if depth > 500:
        yield path, "is nested too deeply, or contains itself", None
    elif isinstance(value, dict):
        if not scalars and _ONLY_STR.issuperset(map(type, value)) and _SCALARS.issuperset(map(type, value.values())):
            return
        for key, item in value.items():
            if not isinstance(key, str):
                yield path, f"has the key {key!r}: keys of JSON objects are strings", "use str(key), or a list of pairs"
            else:
                if scalars:
                    yield from _scalar_faults(key, f"{path}.{key!a}")
                yield from _faults(item, f"{path}.{key}", scalars, depth + 1)
    elif isinstance(value, list) or (isinstance(value, tuple) and not hasattr(value, "_fields")):
        if not scalars and _SCALARS.issuperset(map(type, value)):
            return
        for index, item in enumerate(cast("Sequence[Any]", value)):
            yield from _faults(item, f"{path}[{index}]", scalars, depth + 1)
    elif isinstance(value, str | int | float):  # subclasses: StrEnum, IntEnum, numpy.float64
        if scalars:
            yield from _scalar_faults(value, path)
    else:
        yield path, f"is of type {_type_name(kind)}, which JSON cannot carry", _HINTS.get(kind, _HINT)


def _scalar_faults(value: Any, path: str) -> Iterator[tuple[str, str, str | None]]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"is {value}, which JSON has no word for", "pass None, or a string"
    elif isinstance(value, str):
        if "\0" in value:
            yield (
                path,
                "contains a NUL character (\\u0000), which PostgreSQL cannot store in text",
                "remove or replace it",
            )
        elif not _encodable(value):
            yield path, "contains a lone surrogate, which is no character of UTF-8", "decode with errors='replace', say"
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**4000:
        yield path, "is an integer of more than 4,000 digits", "pass a string"


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _readable(value: Any) -> JSON:
    if isinstance(value, str):
        return value.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_readable(str(key)): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _readable(str(value))
