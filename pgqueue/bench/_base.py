"""What a workload gets: Bench."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg

from pgqueue.bench import _limit, _own
from pgqueue.bench._figure import Figure, Points
from pgqueue.bench._load import Crew, Load
from pgqueue.bench._rounds import Rounds, interleave
from pgqueue.bench._workers import Workers, worker_processes
from pgqueue.errors import PgQueueError
from pgqueue.models import JSON

__all__ = ["Bench", "Figure", "Points", "Rounds", "WrongCounts", "percentile"]

_EMPTY_AT_LAST = (
    "ready",
    "lease",
    "scheduled",
    "arrival",
    "blocked",
    "suspect",
    "line",
    "turn",
    "slot",
    "job_key",
    "cancel_request",
)


class WrongCounts(PgQueueError):
    """The database does not hold what a round must have left: jobs were lost, doubled, or are left over."""


class Bench:
    """The hands of a workload: rounds of the limit and of pgqueue, counts that are checked, the database itself.

    Made and closed by `run`. `last` is the Load of the latest round. Rates are jobs per second.
    """

    def __init__(
        self,
        dsn: str,
        schema: str,
        *,
        jobs: int = 200_000,
        seconds: float = 10.0,
        quick: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.dsn, self.schema, self.limit_schema = dsn, schema, f"{schema}_limit"
        self.jobs, self.seconds, self.quick = jobs, seconds, quick
        self.connections, self.batch = 4, 100
        self.rounds = 2 if quick else 3
        self.last: Load = Load(0, 0, 0.0, 0.0, None, 0)
        self.crew = Crew(dsn)
        self._say = say
        self._own_connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crew.__exit__(kind, error, trace)
        if self._own_connection is not None:
            self._own_connection.close()

    def say(self, text: str) -> None:
        """A line about what goes on, for whoever watches."""
        self._say(text)

    # -- the database ---------------------------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the caller's own, to be closed by it: autocommit, search_path untouched."""
        return psycopg.connect(self.dsn, autocommit=True, application_name="pgqueue bench")

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The bench's own connection, for looking and counting between rounds."""
        if self._own_connection is None or self._own_connection.closed:
            self._own_connection = self.connect()
        return self._own_connection

    def value(self, query: str, *params: object) -> Any:
        """The first value of the first row."""
        row = self.connection.execute(query.encode(), params or None).fetchone()
        return None if row is None else row[0]

    def execute(self, statement: str, *params: object) -> None:
        """A statement whose answer does not matter."""
        self.connection.execute(statement.encode(), params or None)

    def empty(self) -> None:
        """Nothing is left of the rounds before: no job, no history, no queue settings, no worker, ids from 1, fresh
        statistics, a checkpoint behind us.
        """
        tables = self.value(
            "select string_agg(c.oid::regclass::text, ', ') from pg_class c where c.relnamespace = %s::regnamespace"
            " and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all (%s)",
            self.schema,
            ["config", "block", "schema_version"],
        )
        self.execute(f"truncate {tables}, {self.limit_schema}.bare restart identity")
        sequences = self.connection.execute(
            "select c.oid::regclass::text from pg_class c where c.relnamespace = %s::regnamespace and c.relkind = 'S'",
            (self.schema,),
        ).fetchall()
        for (sequence,) in sequences:
            self.execute(f"alter sequence {sequence} restart")
        self.crew.forget()
        self.settle_down()

    def settle_down(self) -> None:
        """Vacuum and analyze everything of ours, and a checkpoint where this role may ask for one: rounds should not
        pay for what was before them.
        """
        tables = self.value(
            "select string_agg(c.oid::regclass::text, ', ') from pg_class c"
            " where c.relnamespace = any (%s::regnamespace[]) and c.relkind in ('r', 'p') and not c.relispartition",
            [self.schema, self.limit_schema],
        )
        self.execute(f"vacuum (analyze) {tables}")
        try:
            self.execute("checkpoint")
        except psycopg.errors.InsufficientPrivilege:
            return

    def register(self, queues: Sequence[str] = ("default",)) -> int:
        """A worker id to claim with."""
        return int(
            self.value(f"select {self.schema}.register_worker(name => 'bench', queues => %s::text[])", list(queues))
        )

    def configure_queue(self, queue: str, **settings: JSON) -> None:
        """Settings of a queue, as configure_queue has them."""
        from psycopg.types.json import Jsonb

        self.value(f"select {self.schema}.configure_queue(queue => %s, settings => %s)", queue, Jsonb(settings))

    def blocks(self) -> None:
        """Partitions ahead, as a leader sees to between rounds of a real worker."""
        error = None
        for _ in range(10):
            error = self.value(f"select error from {self.schema}.maintain(duties => array['blocks'])")
            if error is None:
                return
        raise PgQueueError(f"upkeep cannot make partitions: {error}")

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Another session holds a snapshot meanwhile, as a long report in the same database does."""
        with self.connect() as holder:
            holder.execute("begin isolation level repeatable read")
            holder.execute("select txid_current_snapshot()")
            yield

    # -- rounds ---------------------------------------------------------------------------------------------------

    def limit_enqueue(self, jobs: int) -> float:
        """Batches into the bare table."""
        self.last = self.crew.drive(
            _limit.enqueue(self.limit_schema, self.batch), self.connections, calls=self._calls(jobs)
        )
        return self.last.rate

    def limit_drain(self, jobs: int) -> float:
        """The bare table until it is empty. Raises WrongCounts."""
        self.last = self.crew.drive(_limit.drain(self.limit_schema, self.batch), self.connections, jobs=jobs)
        left = self.value(f"select count(*) from {self.limit_schema}.bare")
        if left or self.last.jobs != jobs:
            raise WrongCounts(f"the limit: {self.last.jobs} of {jobs} jobs were taken, {left} are left")
        return self.last.rate

    def enqueue(
        self,
        jobs: int,
        *,
        queue: str = "default",
        priority: int = 0,
        kind: str = "noop",
        group_keys: bool = False,
    ) -> float:
        """Batches through enqueue_each. `jobs` is a multiple of the batch."""
        script = _own.enqueue(self.schema, self.batch, queue=queue, priority=priority, kind=kind, group_keys=group_keys)
        total: Load | None = None
        # A leader makes partitions while jobs come in; here that happens between slices that fit into two of them.
        for start in range(0, jobs, 500_000):
            self.blocks()
            load = self.crew.drive(script, self.connections, calls=self._calls(min(500_000, jobs - start)))
            total = load if total is None else total + load
        self.last = total or self.last
        return self.last.rate

    def drain(
        self,
        jobs: int,
        *,
        queues: Sequence[str] = ("default",),
        chained: bool = False,
        urgent: bool = False,
        retry_share: float = 0.0,
    ) -> float:
        """Claim and settle until `jobs` are final: in two calls, or `chained` through settle_and_claim. With
        `retry_share` that part of the jobs asks for a second attempt. Counting what is left is `verify`'s.
        """
        make = _own.drain_chained if chained else _own.drain
        every = round(1 / retry_share) if retry_share else 0
        script = make(self.schema, self.batch, queues=queues, urgent=urgent, retry_every=every)
        hands = _own.NOTHING_IN_HAND if chained else ()
        starts = [(str(self.register(queues)), *hands) for _ in range(self.connections)]
        self.last = self.crew.drive(script, self.connections, jobs=jobs, starts=starts)
        return self.last.rate

    def _calls(self, jobs: int) -> int:
        if jobs % self.batch:
            raise ValueError(f"{jobs} jobs are no whole number of batches of {self.batch}")
        return jobs // self.batch

    def verify(self, jobs: int, *, history: bool = True, attempts: int | None = None) -> None:
        """Each of the `jobs` enqueued since `empty` is final exactly once and none is left anywhere. `attempts` is the
        sum of their attempts, where not all took one. Raises WrongCounts.
        """
        s = self.schema
        wanted = {
            "jobs": jobs if history else 0,
            "outcomes": jobs if history else 0,
            "succeeded": jobs if history else 0,
            "attempts": (jobs if attempts is None else attempts) if history else 0,
            **dict.fromkeys(_EMPTY_AT_LAST, 0),
        }
        # An arrival without a job is a note to look at its group again.
        notes = {"arrival": " where job_id is not null"}
        side = ", ".join(f"(select count(*) from {s}.{table}{notes.get(table, '')})" for table in _EMPTY_AT_LAST)
        row = self.connection.execute(
            f"select (select count(*) from {s}.job), o.*, {side}"
            f" from (select count(*), count(*) filter (where o.state = 'succeeded'), coalesce(sum(o.attempt), 0)"
            f" from {s}.outcome o join {s}.job j on j.id = o.job_id) o".encode()
        ).fetchone()
        assert row is not None
        found = dict(zip(wanted, (int(value) for value in row), strict=True))
        wrong = [f"{name} {found[name]:,} instead of {n:,}" for name, n in wanted.items() if found[name] != n]
        if wrong:
            raise WrongCounts("wrong counts after a round: " + ", ".join(wrong))

    def interleave(
        self, own: Mapping[str, Callable[[], float]], limit: Callable[[], float], rounds: int | None = None
    ) -> Rounds:
        """Rounds in turn: the limit first and last, and after each of ours, or after every two where there are several.
        Each callable runs one round, ending with what is measured, and returns its rate.
        """
        return interleave(self, own, limit, rounds or self.rounds)

    def worker_processes(
        self,
        processes: int = 1,
        *,
        queues: Sequence[str] = ("default",),
        concurrency: int = 100,
        app: str | None = "pgqueue.bench._app:app",
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> AbstractContextManager[Workers]:
        """Real `pgqueue worker` processes on this copy for the length of a block, registered when it begins."""
        return worker_processes(self, processes, queues, concurrency, app, env or {}, options)

    def until_idle(self, workers: Workers | None = None, seconds: float = 120.0) -> None:
        """Wait until nothing is ready or leased. Raises WrongCounts when that takes too long, and what
        Workers.require_alive raises.
        """
        deadline = time.monotonic() + seconds
        query = f"select exists (select from {self.schema}.ready) or exists (select from {self.schema}.lease)"
        while self.value(query):
            if workers is not None:
                workers.require_alive()
            if time.monotonic() > deadline:
                raise WrongCounts(f"jobs are left after {seconds:.0f} seconds")
            time.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that so large a share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
