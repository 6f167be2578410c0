"""Placeholders for values that are known when a job runs: `pgqueue.result` and `pgqueue.error`."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from pgqueue.errors import InvalidArgument

__all__ = ["ERROR", "RESULT", "Marker", "taken_out"]


class Marker:
    """Stands for a whole argument. There are two, told apart by identity."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"pgqueue.{self._name}"

    def __str__(self) -> NoReturn:
        # A key made of its name, f"report {result}", would be the same for every job.
        raise InvalidArgument(f"{self!r} is a placeholder: it has no value before the job runs", "pass it as it is")

    def __format__(self, spec: str) -> NoReturn:
        self.__str__()

    def __reduce__(self) -> str:
        return self._name.upper()


RESULT: Final = Marker("result")
ERROR: Final = Marker("error")


def taken_out(args: dict[str, Any]) -> dict[str, Marker]:
    """Removes the placeholders from a job's args: parameter → placeholder."""
    found = {name: value for name, value in args.items() if isinstance(value, Marker)}
    for name in found:
        del args[name]
    return found
