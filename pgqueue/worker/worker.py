"""The worker: its parts, and the order in which they start and stop.

    worker = Worker(app, queues=["default", ("mail", 2)], concurrency=20)
    await worker.run()

Starting: connect, check the schema, register, beat, listen (and find out about poolers), stand for leader, claim.
Stopping, soft (`stop`, or the first SIGTERM): nothing more is claimed; what has not been started is given back at
once, SQL that runs is interrupted and given back; other running jobs have `grace` seconds to finish, then they are
cancelled and given back, the attempt unspent; deregister. Hard (`stop(hard=True)`, or the second signal): deregister,
which gives back everything, and leave.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from pgqueue import schema as schemas
from pgqueue._calls import Calls
from pgqueue.config import resolve_dsn
from pgqueue.errors import translate
from pgqueue.outcomes import Settlement
from pgqueue.registry import App
from pgqueue.worker import logs
from pgqueue.worker.background import background
from pgqueue.worker.draining import Draining
from pgqueue.worker.ended import Ended
from pgqueue.worker.events import Hook, Teller
from pgqueue.worker.executors import Executors
from pgqueue.worker.finishing import LAST_WORD, Finishing
from pgqueue.worker.hands import Hands
from pgqueue.worker.heartbeat import Heart
from pgqueue.worker.joblogs import JobLogs
from pgqueue.worker.keyed import Keyed
from pgqueue.worker.links import Links
from pgqueue.worker.loop import ClaimLoop
from pgqueue.worker.notify import Listener, hears_itself
from pgqueue.worker.orders import Orders
from pgqueue.worker.patrol import Patrol
from pgqueue.worker.plan import make_groups
from pgqueue.worker.progress import Progress
from pgqueue.worker.registration import Registration
from pgqueue.worker.rows import Rows
from pgqueue.worker.schedules import declare_schedules
from pgqueue.worker.settings import QueueSpec, Settings, queue_limits
from pgqueue.worker.signals import handled_signals
from pgqueue.worker.sql import Engine, Sources
from pgqueue.worker.upkeep import Upkeep
from pgqueue.worker.wire import Wire

__all__ = ["Ended", "Worker"]

logger = logging.getLogger("pgqueue.worker")


class Worker:
    """Runs the jobs of an App's tasks; one per process.

    Args:
        app: whose tasks are run.
        dsn: libpq connection string or URL; None: the App's, else `pgqueue.config.resolve_dsn`.
        listen_dsn: where to LISTEN when `dsn` leads to a transaction pooler; None: the App's.
        queues: names, or (name, this worker's own limit) pairs; None: the queues of all that the App has registered.
        schema: None: the App's.
        json_logs: True or False configures the logging of `pgqueue`; None leaves it alone.
        datasources: databases that scripts and queries may name: connection strings by name. They come before those
            of the environment (PGQUEUE_DATASOURCE_NAME), and these before the App's.
        on_event: called with each Event.
        settings: see Settings for the rest.

    Raises InvalidArgument, NotConfigured.
    """

    def __init__(
        self,
        app: App,
        *,
        dsn: str | None = None,
        listen_dsn: str | None = None,
        queues: Iterable[QueueSpec] | None = None,
        concurrency: int = 10,
        schema: str | None = None,
        grace: float = 30.0,
        drain: bool = False,
        name: str | None = None,
        json_logs: bool | None = None,
        datasources: Mapping[str, str] | None = None,
        on_event: Hook | None = None,
        **settings: Any,
    ) -> None:
        queues = app.queues() if queues is None else queues
        settings.setdefault("listen", app.clients.listen)
        settings.setdefault("prepare", app.clients.prepare_threshold is not None)
        self.app = app
        self.settings = Settings(
            dsn=resolve_dsn(dsn if dsn is not None else app.dsn).dsn,
            listen_dsn=listen_dsn if listen_dsn is not None else app.clients.listen_dsn,
            schema=schema if schema is not None else app.schema,
            queues=tuple(queues),
            concurrency=concurrency,
            grace=grace,
            drain=drain,
            name=name or "",
            datasources=dict(datasources or {}),
            **settings,
        )
        self._sources = Sources(self.settings.dsn, self.settings.datasources, os.environ, app.datasources)
        self._tell = Teller(on_event)
        self._json_logs = json_logs
        self._why: str | None = None
        self._is_hard = False
        self._soft = asyncio.Event()
        self._hard = asyncio.Event()
        self._registration: Registration | None = None

    @property
    def worker_id(self) -> int | None:
        """The id it is registered under now."""
        return self._registration.worker_id if self._registration is not None else None

    def stop(self, why: str = "asked", *, hard: bool = False) -> None:
        """Ask for the end; a second time, or with `hard`, for a quick one. On the worker's event loop."""
        if self._why is None:
            self._why = why
            self._tell("stopping", why=why)
            logger.info("stopping", extra={"why": why})
            self._soft.set()
            if not hard:
                return
        if not self._hard.is_set():
            self._why = why
            self._is_hard = True
            logger.warning("stopping at once", extra={"why": why})
            self._hard.set()

    async def run(self, *, signals: bool = True) -> Ended:
        """Works until stopped or drained. `signals`: handle SIGTERM and SIGINT meanwhile.

        Raises, before anything is claimed: SchemaError, ConnectionLost, PermissionDenied.
        """
        if self._json_logs is not None:
            logs.configure(json_lines=self._json_logs)
        self._build()
        try:
            with handled_signals(lambda number: self.stop(number.name), wanted=signals):
                await self._start()
                await self._soft.wait()
                await self._end_in_order()
        finally:
            await self._close()
        ended = Ended(self._why or "asked", self._hands.done, self._executors.still_running, self._is_hard)
        logger.info("stopped", extra={"worker_id": self.worker_id, "why": ended.why, "jobs": ended.jobs})
        self._tell("stopped", why=ended.why)
        return ended

    # -- parts ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        settings = self.settings
        self._calls = calls = Calls(settings.schema)
        self._ending = asyncio.Event()
        self._links = Links(settings, self._tell, self._ending)
        self._was_idle = False
        self._listener: Listener | None = None
        self._patrol_task: asyncio.Task[None] | None = None
        self._again_task: asyncio.Task[None] | None = None

        self._hands = Hands(settings.concurrency, settings.horizon, settings.most_in_hand)
        self._job_logs = JobLogs(
            calls, self._hands, self._links.side("logs"), on_sent=lambda: self._loop.poke(), on_crash=self._give_up
        )
        hooks = Progress(calls, self._job_logs, self.app)
        self._engine = self._make_engine()
        self._rows = Rows(self.app.processors, self._engine, self.app.hooks)
        self._keyed = Keyed(
            self.app.keyed_executors,
            self._engine,
            queue_limits(settings.queues),
            self.app.hooks,
            arm=lambda job: self._executors.arm(job),
            on_crash=self._give_up,
        )
        self._executors = Executors(
            self.app,
            settings,
            self._hands,
            hooks,
            self._tell,
            on_ended=lambda: self._loop.ended(),
            on_gave_up=self._give_up,
            ours={**self._engine.handlers, **self._rows.handlers, **self._keyed.handlers},
        )
        self._orders = Orders(self._hands, self._executors, self._tell)
        self._link = self._links.work()
        hooks.bind(self._link, self._executors)
        self._loop = ClaimLoop(
            settings,
            Wire(settings.schema),
            self._hands,
            make_groups(settings.queues, self._hands),
            self._tell,
            make_link=self._links.work,
            has_waiting=self._executors.has_waiting,
            on_jobs=self._jobs_came,
            on_unknown=self._unknown,
            on_superseded=self._orders.drop,
            on_unsuccessful=lambda: self._upkeep.hurry(),
            on_asked=self._keyed.look,
            on_idle=self._idle,
            on_crash=self._give_up,
        )
        self._heart = Heart(
            settings,
            calls,
            self._tell,
            leases=self._leases,
            on_answer=self._orders.obey,
            on_unknown=self._unknown_to_the_heart,
            on_dead=self._cut_off,
        )
        self._registration = Registration(
            settings,
            calls,
            self._link,
            self._tell,
            self._ending,
            on_registered=self._registered,
            on_forgotten=lambda _: self._orders.drop_all(),
        )
        self._patrol = Patrol(self._hands, self._executors, settings.give_back_after, self._give_back)

    def _make_engine(self) -> Engine:
        return Engine(
            self.settings,
            self._calls,
            self._sources,
            may_prepare=lambda: self._links.prepare,
            on_more=lambda queue: self._loop.more_to_come(queue),
        )

    # -- starting -------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        connection = await self._link.open()
        try:
            await schemas.arequire(connection, self.settings.schema)
        except psycopg.Error as error:
            raise translate(error) from error
        is_pooled = False
        if self.settings.listen:
            is_pooled = not await self._listen()
            if self.settings.listen_dsn not in (None, self.settings.dsn):
                is_pooled = await self._is_pooled()
        self._links.prepare = self._link.prepare = self.settings.prepare and not is_pooled
        if self._registration is not None:
            await self._registration.register()
        self._heart.start()
        await declare_schedules(self.app, self._calls, self._link, self._tell)
        self._upkeep = Upkeep(
            self._calls, self._links.side("upkeep"), self._listener, self._tell, self._upkeep_done, self._give_up
        )
        if self.settings.upkeep:
            self._upkeep.start()
        self._draining = Draining(
            self._calls,
            self._links.side("drain"),
            self._hands,
            look_again=self._loop.look_again,
            on_drained=lambda: self.stop("drained"),
            on_crash=self._give_up,
        )
        await self._keyed.prepare()
        self._patrol_task = background(self._patrol.run(), "patrol", self._give_up)
        is_session = self._listener is not None and not is_pooled
        self._loop.start(self._link, await self._links.claim() if is_session else None)

    async def _listen(self) -> bool:
        """Whether notifications arrive; then the listener runs."""
        listener = Listener(
            self.settings,
            self._calls,
            self._tell,
            self._ending,
            on_wake=self._loop.woken,
            on_poke=self._heart.beat_now,
            on_change=self._loop.look_again,
            on_crash=self._give_up,
        )
        if not await listener.start(self._link, list(queue_limits(self.settings.queues))):
            return False
        self._listener = self._loop.listener = listener
        return True

    async def _is_pooled(self) -> bool:
        """With a DSN of its own for listening, what the other leads to is found out separately: names of prepared
        statements would clash.
        """
        other = self._links.work()
        try:
            return not await hears_itself(other, self._link, self._calls)
        finally:
            await other.close()

    def _registered(self, worker_id: int) -> None:
        self._loop.worker_id = self._heart.worker_id = worker_id
        if self._listener is not None:
            self._listener.worker_id = worker_id

    # -- working --------------------------------------------------------------------------------------------------

    def _jobs_came(self) -> None:
        self._was_idle = False
        if self._loop.claiming:
            self._executors.kick()
        else:
            self._give_back()

    def _give_back(self) -> None:
        """Everything that has not been started."""
        for job in self._executors.withdraw():
            self._executors.end(job, Settlement("release"))
        self._loop.ended()

    def _idle(self) -> None:
        if not self._was_idle:
            self._was_idle = True
            self._tell("idle")
        if self.settings.drain and self._why is None:
            self._draining.idle()

    def _leases(self) -> list[int] | None:
        # From the heart's thread; making the list is one step of the interpreter. What slips through between the two
        # looks is a lease of this moment, and the server spares those.
        if self._loop.claims_under_way:
            return None
        held = list(self._hands.held.values())
        return None if self._loop.claims_under_way else list({job.lease for job in held})

    async def _unknown(self, worker_id: int) -> None:
        if self._registration is not None:
            await self._registration.again(worker_id)
        self._loop.look_again()

    def _unknown_to_the_heart(self, worker_id: int) -> None:
        self._again_task = background(self._unknown(worker_id), "registration", self._give_up)

    def _cut_off(self) -> None:
        # in the heart's thread
        if self._listener is not None:
            self._listener.sever()

    def _give_up(self, why: str) -> None:
        """This process is beyond mending; a supervisor starts another."""
        if self._why is None:
            logger.critical("giving up this process: %s", why)
            self._tell("gave_up", why=why)
            self.stop("gave_up")

    def _upkeep_done(self, duty: str) -> None:
        if duty in ("promote", "schedules", "rescue", "dependents", "admit"):
            self._loop.look_again()

    # -- stopping -------------------------------------------------------------------------------------------------

    async def _end_in_order(self) -> None:
        """Soft stop, cut short by a hard one at any point."""
        self._loop.claiming = False
        if self._listener is not None:
            self._listener.rest(False)
        self._give_back()
        interrupt = asyncio.get_running_loop().call_later(self.settings.sql_grace, self._executors.interrupt_sql)
        await Finishing(self._loop, self._hands, self._executors, self._hard).run(self.settings.grace)
        interrupt.cancel()

    async def _close(self) -> None:
        self._loop.claiming = False
        self._ending.set()
        for task in (self._patrol_task, self._again_task):
            if task is not None:
                task.cancel()
        if self._registration is not None and self._registration.worker_id is not None:
            await self._draining.stop()
            await self._upkeep.stop()
            await self._heart.stop()
        await self._loop.stop(LAST_WORD)
        if self._registration is not None:
            await self._registration.end(LAST_WORD)
        await self._executors.close()
        await self._job_logs.close()
        await self._rows.close()
        await self._keyed.close()
        await self._engine.close()
        if self._listener is not None:
            await self._listener.stop()
        await self._link.close()
