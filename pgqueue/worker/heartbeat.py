"""The heartbeat: a thread with a connection of its own, and the watchdog over the event loop.

Why a thread. A handler that blocks the event loop (a long computation, `time.sleep` in an async function) would
silence a heartbeat that lives on that loop; after lost_after the server would give this worker's jobs to others while
they still run here. So the heartbeat does not depend on the loop, and instead watches it:

- a loop that has not moved for `block_warning` seconds is reported, with the stack it is stuck in, and again each
time that has doubled;
- one that has not moved for `block_limit` seconds is as good as dead: the listening session is cut off, so that another
  worker can lead and do the upkeep, and the heartbeat stops; after lost_after others get the jobs. When the loop moves
  again, heartbeats resume; if the server has declared this worker lost by then it registers anew and drops what it had.

A handler that never lets go of the interpreter (an extension that holds the GIL) silences this thread as well, with
the same result.

The answer of each heartbeat (jobs to cancel, leases lost) is carried out on the event loop. A heartbeat names the
leases in hand, so that the server takes back what it believes to be here and is not; it names none while a claim is
under way, whose leases nobody knows yet. Its statements end within 4 s, because the server spares leases younger than
5 s from that comparison.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

import psycopg

from pgqueue._calls import Call, Calls
from pgqueue.errors import PgQueueError, UnknownWorker, translate
from pgqueue.models import Directive
from pgqueue.worker.backoff import Backoff, jittered
from pgqueue.worker.events import Teller
from pgqueue.worker.link import connection_string, describe
from pgqueue.worker.settings import Settings

__all__ = ["Heart"]

logger = logging.getLogger("pgqueue.worker")

_STATEMENT_TIMEOUT = 4.0
_ASK_AGAIN = 0.05
"""Seconds to the next heartbeat when the server has something to say and a claim was under way: it may be about leases,
which were not named. Twice as long each time.
"""


class Heart:
    """Beats from `start` to `stop`.

    Args:
        leases: the leases in hand, None while a claim is under way; called in the heart's thread.
        on_answer: what the server wants done; runs on the event loop.
        on_unknown: the server does not know this worker id any more; runs on the event loop.
        on_dead: the event loop counts as dead; called in the heart's thread.
    """

    def __init__(
        self,
        settings: Settings,
        calls: Calls,
        tell: Teller,
        *,
        leases: Callable[[], list[int] | None],
        on_answer: Callable[[list[Directive]], None],
        on_unknown: Callable[[int], None],
        on_dead: Callable[[], None],
    ) -> None:
        self.worker_id: int | None = None
        self._settings = settings
        self._calls = calls
        self._tell = tell
        self._leases = leases
        self._on_answer = on_answer
        self._on_unknown = on_unknown
        self._on_dead = on_dead
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._moved = monotonic()
        self._reported = 0.0
        self._wanted = threading.Event()
        self._is_dead = False
        self._ending = False
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="pgqueue heartbeat", daemon=True)

    def start(self) -> None:
        """Beat for `worker_id`, whatever it is at the time."""
        self._thread.start()

    def beat_now(self) -> None:
        """From any thread: the server has something to say."""
        self._wanted.set()

    async def stop(self) -> None:
        """Returns when the thread has ended, or after a second if it is stuck in the network."""
        self._ending = True
        self._wanted.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, 1.0)

    # -- in the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff = Backoff(first=0.1, most=self._settings.heartbeat_interval)
        tick = min(1.0, self._settings.block_warning / 2, self._settings.heartbeat_interval / 2) or 0.1
        due = monotonic() + jittered(self._settings.heartbeat_interval, 0.1)
        again = 0.0  # seconds; 0 when nothing is left open
        while True:
            asked = self._wanted.wait(min(again or tick, tick)) or again > 0
            self._wanted.clear()
            if self._ending:
                break
            alive = self._watch()
            if alive and (asked or monotonic() >= due):
                try:
                    is_told = self._beat()
                    again = 0.0 if is_told or not asked else 2 * again or _ASK_AGAIN
                except PgQueueError as error:
                    self._hang_up()
                    again = 0.0
                    delay = backoff.delay()
                    logger.warning(
                        "heartbeat failed, trying again in %.1f s: %s",
                        delay,
                        describe(error),
                        extra={"sqlstate": error.sqlstate},
                    )
                    due = monotonic() + delay
                except Exception:
                    self._hang_up()
                    again = 0.0
                    logger.exception("heartbeat failed")
                    due = monotonic() + backoff.delay()
                else:
                    backoff.reset()
                    due = monotonic() + jittered(self._settings.heartbeat_interval, 0.1)
        self._hang_up()

    def _beat(self) -> bool:
        """Whether the server was told which leases are here."""
        worker_id = self.worker_id
        if worker_id is None:
            return True
        leases = self._leases()
        call = self._calls.worker_heartbeat(worker_id, leases)
        try:
            directives = self._fetch(call)
        except UnknownWorker:
            self._on_loop(self._on_unknown, worker_id)
            return True
        self._tell_soon("heartbeat", worker_id=worker_id)
        if directives:
            self._on_loop(self._on_answer, directives)
        return leases is not None

    def _fetch(self, call: Call[list[Directive]]) -> list[Directive]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor(binary=True) as cursor:
                return call.decode(cursor.execute(call.sql, call.params).fetchall())
        except psycopg.Error as error:
            raise translate(error) from error

    def _connect(self) -> psycopg.Connection[Any]:
        settings = replace(self._settings, statement_timeout=min(_STATEMENT_TIMEOUT, self._settings.statement_timeout))
        try:
            connection = self._open(settings, options=True)
        except psycopg.OperationalError as error:
            if "startup parameter" not in str(error):
                raise
            connection = self._open(settings, options=False)
        connection.prepare_threshold = None
        return connection

    def _open(self, settings: Settings, *, options: bool) -> psycopg.Connection[Any]:
        conninfo = connection_string(settings.dsn, settings, "heartbeat", options=options)
        return psycopg.connect(conninfo, autocommit=True)

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- the watchdog ---------------------------------------------------------------------------------------------

    def _watch(self) -> bool:
        """Whether the loop may count as alive."""
        self._on_loop(self._move)
        still = monotonic() - self._moved
        if still < self._settings.block_warning:
            self._is_dead = False
            return True
        is_dead = still >= self._settings.block_limit
        if is_dead and not self._is_dead:
            self._on_dead()
        self._is_dead = is_dead
        if still >= 2 * self._reported or (is_dead and self._reported < self._settings.block_limit):
            self._reported = still
            logger.warning(
                "the event loop has been blocked for %.1f s%s, here:\n%s",
                still,
                "; heartbeats stop so that others get the jobs" if is_dead else "",
                self._stack(),
                extra={"seconds": round(still, 1), "heartbeat": not is_dead},
            )
            self._tell_soon("blocked", seconds=still)
        return not is_dead

    def _move(self) -> None:
        """On the loop: it moves."""
        still = monotonic() - self._moved
        self._moved = monotonic()
        if self._reported:
            self._reported = 0.0
            logger.info("the event loop moves again", extra={"seconds": round(still, 1)})
            self._tell("unblocked", seconds=still)

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        return "".join(traceback.format_stack(frame)[-12:]) if frame is not None else "<no stack>"

    def _tell_soon(self, name: str, **facts: Any) -> None:
        if self._tell.hook is not None:
            self._on_loop(lambda: self._tell(name, **facts))

    def _on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            # closed: the process is ending, and nobody is left to act on it
            self._ending = True
