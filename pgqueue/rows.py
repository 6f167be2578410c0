"""Row batches and slow queries as their processors see them.

    app = App()

    @app.processor("billing", "invoice")
    def invoice(row: Row) -> Success:
        return Success(result={"total": row.input["net"] * 1.2}, output={"invoices.csv": f"{row.line},…"})

    batch = app.batches.submit("billing", "invoice", {"year": 2026}, [(1, {"net": 100})])
    app.batches.wait(batch, timeout=60).succeeded     # a worker does it: pgqueue worker module:app

A processor gets one Row at a time and returns what became of it: Success, Failed, Aborted or TryLater, or just a JSON
value, which is a success with that result. One that raises has failed its row, and no other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from pgqueue.errors import AlreadyRegistered, InvalidArgument
from pgqueue.models import JSON

if TYPE_CHECKING:
    from pgqueue.stores import ObjectStore

__all__ = [
    "Aborted",
    "BatchDone",
    "Failed",
    "Kind",
    "Message",
    "OutputFile",
    "Processor",
    "Processors",
    "Row",
    "Success",
    "TryLater",
    "queue_of",
]

Kind: TypeAlias = Literal["batch", "slow_query"]


@dataclass(frozen=True, slots=True)
class Message:
    """What a processor tells whoever submitted the row: a number and a code for programs, the field it is about, values
    for its text.
    """

    msgid: int
    errcode: str
    field: str | None = None
    vals: Sequence[str] = ()


Messages: TypeAlias = Sequence[Message]
Output: TypeAlias = Mapping[str, str | Sequence[str]]
"""Output file → this row's line in it, or lines. In the file the lines stand in the order of the rows."""


def _no_output() -> Output:
    return {}


@dataclass(frozen=True, slots=True)
class Success:
    """The row is done. `result`: any JSON."""

    result: JSON = None
    messages: Messages = ()
    output: Output = field(default_factory=_no_output)


@dataclass(frozen=True, slots=True)
class Failed:
    """The row cannot be done; the messages say why."""

    result: JSON = None
    messages: Messages = ()
    output: Output = field(default_factory=_no_output)


@dataclass(frozen=True, slots=True)
class Aborted:
    """The row is not to be done; a batch with such a row ends as aborted."""

    result: JSON = None
    messages: Messages = ()
    output: Output = field(default_factory=_no_output)


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now: the row comes again after `delay` (seconds or timedelta), on whatever worker, as often as it says so."""

    delay: float | timedelta = 0


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row for its processor. `line` is the submitter's number (0: a slow query), `row_id` counts the rows of the
    batch from 0. `tries`: how often it has been put off. `init`: what the application's initializer has given.

    `context` is the batch's, one object for many rows: read it, do not change it.
    """

    batch: int
    app: str
    op: str
    context: JSON
    line: int
    input: JSON
    row_id: int = 0
    tries: int = 0
    init: Any = None
    _is_stopped: Callable[[], bool] = field(default=_never, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether to stop: the batch has been aborted, or the worker is in a hurry to end. A sync processor that takes
        long looks here now and then; an async one is cancelled where it awaits.
        """
        return self._is_stopped()


@dataclass(slots=True, eq=False)
class _Draft:
    """A Row that is being filled: see `made_row`."""

    batch: int
    app: str
    op: str
    context: JSON
    line: int
    input: JSON
    row_id: int
    tries: int
    init: Any
    _is_stopped: Callable[[], bool]


def made_row(*values: Any) -> Row:
    """A Row for workers, which make very many: filling a mutable object of the same layout and turning it into the
    frozen one takes a quarter of the time of the generated `__init__` (see `models.claimed_jobs`).
    """
    draft = _Draft(*values)
    draft.__class__ = Row  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    return cast("Row", draft)


@dataclass(frozen=True, slots=True)
class OutputFile:
    """An output file of a batch that is over. `location`: what the processor's store gave back for it."""

    name: str
    lines: int
    chars: int
    location: str | None = None


@dataclass(frozen=True, slots=True)
class BatchDone:
    """What `mark_done` is called with: how a batch, or slow query, has ended (succeeded, failed, aborted)."""

    id: int
    app: str
    op: str
    kind: str
    status: str
    context: JSON
    rows: int
    succeeded: int
    failed: int
    aborted: int
    files: Mapping[str, OutputFile]
    init: Any = None


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def queue_of(app: str, op: str) -> str:
    """The queue in which the jobs of an application's operation are."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in (app, lowered(op)))


def lowered(op: str) -> str:
    """As the server does it, whatever its locale: the letters of ASCII."""
    return op.translate(_LOWER)


@dataclass(frozen=True, slots=True)
class Processor:
    """A function registered for an application's operation, and what follows when a batch is over."""

    kind: Kind
    app: str
    op: str
    fn: Callable[[Row], Any]
    mark_done: Callable[[BatchDone], Any] | None = None
    store: ObjectStore | None = None

    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", is_async(self.fn))


class Processors:
    """The processors and initializers of an App."""

    def __init__(self) -> None:
        self.initializers: dict[str, Callable[[str], Any]] = {}
        """Application → what makes an init block."""
        self._processors: dict[tuple[Kind, str, str], Processor] = {}

    def __bool__(self) -> bool:
        return bool(self._processors)

    def __iter__(self) -> Iterator[Processor]:
        return iter(self._processors.values())

    def add(self, processor: Processor) -> None:
        """Raises AlreadyRegistered, and InvalidArgument for what cannot be a processor."""
        _check_name("app", processor.app)
        _check_name("op", processor.op)
        _check_function(processor.fn, "processor")
        key = processor.kind, processor.app, lowered(processor.op)
        if key in self._processors:
            raise AlreadyRegistered(
                f"{processor.app!r} has a {processor.kind} processor of {processor.op!r} already",
                "an operation has one processor; op is lower-cased",
            )
        self._processors[key] = processor

    def add_initializer(self, app: str, fn: Callable[..., Any]) -> None:
        """Raises AlreadyRegistered, InvalidArgument."""
        _check_name("app", app)
        _check_function(fn, "initializer")
        if app in self.initializers:
            raise AlreadyRegistered(f"{app!r} has an initializer already", "an application has one")
        self.initializers[app] = fn if inspect.signature(fn).parameters else lambda _: fn()

    def find(self, kind: Kind, app: str, op: str) -> Processor | None:
        """The processor of this application's operation, if it is here."""
        return self._processors.get((kind, app, lowered(op)))

    @property
    def has_async(self) -> bool:
        """Whether any function here is async."""
        processors = self._processors.values()
        return any(is_async(fn) for fn in self.initializers.values()) or any(
            each.is_async or (each.mark_done is not None and is_async(each.mark_done)) for each in processors
        )

    def queues(self) -> list[str]:
        """Those in which there may be something for these processors."""
        return list(dict.fromkeys(queue_of(app, op) for _, app, op in self._processors))


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; objects with an async `__call__` count."""
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def _check_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= 150:
        raise InvalidArgument(f"{what} is {name!r}", "it is a text of 1 to 150 characters")


def _check_function(fn: Any, what: str) -> None:
    if not callable(fn) or inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidArgument(f"{fn!r} cannot be a {what}", "decorate a function, sync or async")
