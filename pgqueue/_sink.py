"""Where a result is written to: a path, or an open file, of text or of bytes."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast

__all__ = ["Sink", "Target"]

T_contra = TypeVar("T_contra", contravariant=True)


class Writes(Protocol[T_contra]):
    """What is asked of an open file."""

    def write(self, data: T_contra, /) -> object: ...


Target: TypeAlias = str | os.PathLike[str] | Writes[str] | Writes[bytes]


class Sink:
    """Text goes out as UTF-8. A path is opened, and what was there replaced, when the first text comes: a result that
    cannot be had leaves it alone. What was open before is not closed.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stack = ExitStack()
        self._file: Writes[Any] | None = None
        self._takes_bytes = False

    def write(self, text: str) -> None:
        """Raises OSError."""
        if self._file is None:
            self._open()
        assert self._file is not None
        self._file.write(text.encode() if self._takes_bytes else text)

    def _open(self) -> None:
        if isinstance(self._target, str | os.PathLike):
            self._file = self._stack.enter_context(Path(self._target).open("w", encoding="utf-8", newline=""))  # noqa: SIM115 - the stack closes it
            return
        self._file = cast("Writes[Any]", self._target)
        try:
            self._file.write("")
        except TypeError:
            self._takes_bytes = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()
