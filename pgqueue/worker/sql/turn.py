"""One turn of a job of SQL, from its claim to its settlement:

    connect · begin (the queue says what to run, and knows the backend from now on) · end the backend of a run that was
    lost · run · leave the session · end (the queue hears how it went, and says how to settle)

It may be stopped at any moment, and then looks at where it is: before the text runs, nothing of it will; while it
runs, the server ends it first; once it has ended, that counts. An interrupted turn is not reported as ended.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pgqueue._json import dumps_lossy
from pgqueue.errors import Busy, ConnectionLost, PermissionDenied, PgQueueError, SchemaError, StaleLease
from pgqueue.models import JSON
from pgqueue.outcomes import OutcomeName, Settlement, settlement_of_error
from pgqueue.worker.job import Job, StopReason
from pgqueue.worker.link import describe
from pgqueue.worker.sql.failures import SqlFailure, time_is_up
from pgqueue.worker.sql.session import Backend, Interrupted, Session, Wishes

if TYPE_CHECKING:
    from pgqueue.worker.sql.engine import Engine

__all__ = ["TROUBLES", "Stopped", "Turn", "settlement"]

logger = logging.getLogger("pgqueue.worker")

T = TypeVar("T")

TROUBLES = (Busy, ConnectionLost, PermissionDenied, SchemaError)
"""Of the queue's; no job is to blame for them."""
_TROUBLE_PAUSE = 1.0
"""Seconds before a job is given back because the queue's own calls fail: it comes again at once."""
_SPOKEN_AFTER = 5.0
"""Seconds of waiting for an old backend to end that are worth a line in the log."""


class Orders(Protocol):
    """What both kinds of job are told at the beginning."""

    @property
    def sql(self) -> str | None: ...
    @property
    def timeout(self) -> timedelta | None: ...
    @property
    def verdict(self) -> str | None: ...
    @property
    def old_pid(self) -> int | None: ...
    @property
    def old_backend_start(self) -> datetime | None: ...


O = TypeVar("O", bound=Orders)  # noqa: E741


class Stopped(Exception):
    """The turn was stopped where nothing is lost by it."""


class Turn(ABC, Generic[O]):
    """`run` gives the settlement; `stop` makes that come soon."""

    word: str
    """For the name of the session."""
    settings: Mapping[str, str] = {}
    """Of the session, unless the job has others."""

    def __init__(self, engine: Engine, job: Job, args: dict[str, Any]) -> None:
        self.job = job
        self._engine = engine
        self._args = args
        self._why: StopReason | None = None
        self._stopped = asyncio.Event()
        self._session: Session | None = None

    @abstractmethod
    async def _begin(self, backend: Backend | None) -> O: ...

    def _settle(self, orders: O, verdict: str) -> Settlement:
        """There is nothing to run."""
        return settlement(verdict)

    @abstractmethod
    async def _execute(self, session: Session, orders: O) -> str | None:
        """Runs what was ordered; its command tag. Raises SqlFailure, Interrupted, PgQueueError."""

    @abstractmethod
    async def _end(
        self, command: str | None, error: dict[str, JSON] | None, notices: list[JSON] | None
    ) -> Settlement: ...

    def stop(self, why: StopReason) -> None:
        """End what is under way; `run` returns when that is done."""
        if self._why is None:
            self._why = why
            self._stopped.set()
            if self._session is not None:
                self._session.interrupt(why)

    async def run(self) -> Settlement:
        """The turn. Raises nothing but what is a mistake here."""
        try:
            return await self._run()
        except (Stopped, Interrupted):
            return self._as_stopped()
        except StaleLease as error:
            logger.warning("a job of SQL is no longer ours: %s", describe(error), extra={"job_id": self.job.id})
            return Settlement("release")  # which is refused, and so forgotten
        except TROUBLES as error:
            logger.error(
                "a job of SQL is given back: %s",
                describe(error),
                extra={"job_id": self.job.id, "sqlstate": error.sqlstate},
            )
            await self._pause(_TROUBLE_PAUSE)
            return self._as_stopped()
        except PgQueueError as error:
            return settlement_of_error(error, "discard")
        finally:
            if self._session is not None:
                self._session.close()

    async def _run(self) -> Settlement:
        failure: SqlFailure | None = None
        try:
            self._session = await self._or_stopped(self._connect())
        except SqlFailure as error:
            failure = error
        session = self._session
        self._look()
        orders = await self._begin(None if session is None else session.backend)
        if orders.verdict is not None:
            return self._settle(orders, orders.verdict)
        command: str | None = None
        notices: list[JSON] | None = None
        if session is not None:
            try:
                await self._end_other(session, orders)
                await session.prepare(None if orders.timeout is None else orders.timeout.total_seconds())
                command = await self._execute(session, orders)
            except SqlFailure as error:
                failure = error
            except Interrupted:
                if session.interrupted != "timeout":
                    raise
                failure = time_is_up()
            await session.leave()
            if failure is not None:
                self._look()
            notices = session.notices.document()
        return await self._end(command, None if failure is None else failure.document, notices)

    async def _connect(self) -> Session:
        args = self._args
        asked = {name.lower(): _setting(value) for name, value in (args.get("settings") or {}).items()}
        settings = {**self.settings, **asked}
        wishes = Wishes(
            f"pgqueue {self.word} {self.job.id}", args.get("role"), settings, bool(args.get("read_only", False))
        )
        return await Session.open(self._engine.sources.find(args.get("datasource")), wishes)

    async def _end_other(self, session: Session, orders: O) -> None:
        """A backend that may still run this job's SQL, for a worker that is lost, must be gone first."""
        if orders.old_pid is None or orders.old_backend_start is None:
            return
        other = Backend(orders.old_pid, orders.old_backend_start)
        if other == session.backend:
            return
        pause, waited = 0.01, 0.0
        while await session.end_other(other):
            await self._pause(pause)
            self._look()
            waited += pause
            if waited >= _SPOKEN_AFTER:
                logger.warning(
                    "the backend of a lost run does not end", extra={"job_id": self.job.id, "pid": other.pid}
                )
                waited = 0.0
            pause = min(2 * pause, 0.5)

    # -- being stopped ------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._why is not None:
            raise Stopped

    def _as_stopped(self) -> Settlement:
        return Settlement("cancelled" if self._why == "cancel" else "release")

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _or_stopped(self, what: Coroutine[Any, Any, T]) -> T:
        """What this gives, unless the turn is stopped before: then it is cancelled."""
        task = asyncio.ensure_future(what)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not task.done():
                task.cancel()
        if task.cancelled() or not task.done():
            await asyncio.wait({task})
            raise Stopped
        return task.result()


def settlement(verdict: str, failure: dict[str, Any] | None = None, result: dict[str, Any] | None = None) -> Settlement:
    """The outcome the queue has decided on."""
    outcome: OutcomeName = verdict  # type: ignore[assignment]  # the server's word is one of them
    return Settlement(
        outcome,
        None if result is None else dumps_lossy(result),
        None if failure is None else dumps_lossy(failure),
    )


def _setting(value: Any) -> str:
    """A setting of the server as text: JSON knows true, and numbers."""
    return str(value).lower() if isinstance(value, bool) else str(value)
