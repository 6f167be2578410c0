"""What a Call is, and the parts the methods of `pgqueue._calls.Calls` are made of. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, LiteralString, TypeAlias, TypeVar

from pgqueue._functions import FUNCTIONS, literal
from pgqueue._literals import ENCODERS, Encoder, made_documents
from pgqueue._sqlfiles import validate_schema
from pgqueue.errors import InvalidArgument, PgQueueError
from pgqueue.models import JSON

__all__ = ["BaseCalls", "Call", "Row", "Seconds", "many", "nothing", "one", "plain_settings", "value"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Row: TypeAlias = tuple[Any, ...]
Seconds: TypeAlias = float | timedelta
"""A time span: seconds as a number, or a timedelta."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A statement ready to run, and how to turn its rows into what the caller gets."""

    sql: LiteralString
    params: dict[str, str | None]
    decode: Callable[[list[Row]], T_co]


def _encoders(name: str) -> list[tuple[str, Encoder]]:
    chosen = {argument: ENCODERS[kind] for argument, kind in FUNCTIONS[name].arguments.items()}
    if "leases" in chosen and "outcomes" in chosen:
        # a settlement's documents were written, and refused one by one, when each job ended
        chosen.update(results=made_documents, errors=made_documents)
    return list(chosen.items())


_ENCODERS: dict[str, list[tuple[str, Encoder]]] = {name: _encoders(name) for name in FUNCTIONS}


class BaseCalls:
    """What the parts of `Calls` share: the statements of one schema."""

    def __init__(self, schema: str = "pgqueue") -> None:
        self.schema = validate_schema(schema)
        # Checked against the rule for names, which leaves nothing to quote: from here on the text counts as literal.
        name = literal(self.schema)
        self._sql: dict[str, LiteralString] = {
            function.name: function.statement(name) for function in FUNCTIONS.values()
        }
        self.wake_channel: LiteralString = f"{name}_wake"
        self.worker_channel: LiteralString = f"{name}_worker"
        self.done_channel: LiteralString = f"{name}_done"

    def _call(self, name: str, decode: Callable[[list[Row]], T], values: Mapping[str, Any]) -> Call[T]:
        # Most parameters of most calls are not given: no call of an encoder for those.
        params = {
            key: None if (given := values[key]) is None else encode(key, given) for key, encode in _ENCODERS[name]
        }
        return Call(self._sql[name], params, decode)


def one(model: Callable[..., T]) -> Callable[[list[Row]], T]:
    def decode(rows: list[Row]) -> T:
        if len(rows) != 1:
            raise PgQueueError(
                f"the server answered {len(rows)} rows where one was due", "is the schema damaged? pgqueue doctor"
            )
        return model(*rows[0])

    return decode


def many(model: Callable[..., T]) -> Callable[[list[Row]], list[T]]:
    def decode(rows: list[Row]) -> list[T]:
        return [model(*row) for row in rows]

    return decode


def value(rows: list[Row]) -> Any:
    return rows[0][0]


def nothing(rows: list[Row]) -> None:
    return None


def plain_settings(settings: Mapping[str, JSON]) -> dict[str, JSON]:
    if not isinstance(settings, Mapping):
        raise InvalidArgument(f"settings must be a mapping, not {type(settings).__name__}")
    return {
        key: ENCODERS["interval"](key, given) if isinstance(given, timedelta) else given
        for key, given in settings.items()
    }
