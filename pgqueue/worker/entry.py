"""How a worker process begins: in this process, or P of them below a supervisor.

A child is `python -m pgqueue.worker`; its options come as one line of JSON on stdin, so that no password shows in a
list of processes. The supervisor keeps the other end of that pipe: when it dies, however it dies, the children read
the end of file and stop softly.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pgqueue.errors import ConnectionLost, InvalidArgument, NotConfigured, PgQueueError, SchemaError
from pgqueue.registry import App
from pgqueue.worker import logs
from pgqueue.worker.appload import load_app
from pgqueue.worker.ended import Ended
from pgqueue.worker.settings import QueueSpec
from pgqueue.worker.worker import Worker

__all__ = ["EXIT_CONNECTION", "EXIT_FAILED", "EXIT_SCHEMA", "EXIT_USAGE", "Options", "child_main", "main_for_cli"]

logger = logging.getLogger("pgqueue.worker")

EXIT_FAILED, EXIT_USAGE, EXIT_CONNECTION, EXIT_SCHEMA = 1, 2, 3, 4
SQL_QUEUES = ("scripts", "queries")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a worker process is told; `settings` are further fields of `Settings`."""

    app_path: str | None
    """None: no tasks; scripts and queries need none."""
    queues: list[tuple[str, int | None]] | None = None
    concurrency: int = 10
    drain: bool = False
    grace: float = 30.0
    json_logs: bool = False
    log_level: str = "info"
    dsn: str | None = None
    listen_dsn: str | None = None
    schema: str | None = None
    name: str | None = None
    datasources: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    python_path: list[str] = field(default_factory=lambda: list(sys.path))
    """Where a child looks for the app, after where it looks anyway."""

    def worker(self) -> Worker:
        """The worker these options describe. Raises InvalidArgument, NotConfigured, and whatever importing the app
        raises.
        """
        return Worker(
            App() if self.app_path is None else load_app(self.app_path),
            dsn=self.dsn,
            listen_dsn=self.listen_dsn,
            queues=SQL_QUEUES if self.app_path is None and self.queues is None else self.queues,
            concurrency=self.concurrency,
            schema=self.schema,
            grace=self.grace,
            drain=self.drain,
            name=self.name,
            datasources=self.datasources,
            **self.settings,
        )


def main_for_cli(
    app_path: str | None = None,
    *,
    queues: Sequence[QueueSpec] | None = None,
    concurrency: int = 10,
    processes: int = 1,
    drain: bool = False,
    grace: float = 30.0,
    json_logs: bool = False,
    log_level: str = "info",
    dsn: str | None = None,
    listen_dsn: str | None = None,
    schema: str | None = None,
    name: str | None = None,
    datasources: Mapping[str, str] | None = None,
    **settings: Any,
) -> int:
    """Runs a worker, or `processes` of them, until stopped or drained; returns the exit code (see Ended.exit_code).
    Without `app_path` it has no tasks and runs scripts and queries, from the queues of those names unless told others.

    Raises InvalidArgument, NotConfigured, SchemaError, ConnectionLost, PermissionDenied when it cannot start.
    Ends the process itself when handlers in threads cannot be stopped.
    """
    options = Options(
        app_path=app_path,
        queues=None
        if queues is None
        else [(spec, None) if isinstance(spec, str) else (spec[0], spec[1]) for spec in queues],
        concurrency=concurrency,
        drain=drain,
        grace=grace,
        json_logs=json_logs,
        log_level=log_level,
        dsn=dsn,
        listen_dsn=listen_dsn,
        schema=schema,
        name=name,
        datasources=dict(datasources or {}),
        settings=settings,
    )
    logs.configure(json_lines=json_logs, level=log_level.upper())
    if processes < 1:
        raise InvalidArgument(f"processes must be at least 1, not {processes}")
    if processes > 1:
        from pgqueue.worker.supervisor import Supervisor

        options.worker()  # what is wrong with the options is said here, once, rather than by every child
        return asyncio.run(Supervisor(options, processes).run())
    return asyncio.run(_run(options.worker()))


def child_main() -> int:
    """`python -m pgqueue.worker`."""
    line = sys.stdin.readline()
    if not line.strip():
        sys.stderr.write("this is how `pgqueue worker` starts its processes; run that instead\n")
        return EXIT_USAGE
    options = Options(**json.loads(line))
    sys.path.extend(path for path in options.python_path if path not in sys.path)
    logs.configure(json_lines=options.json_logs, level=options.log_level.upper())
    try:
        worker = options.worker()
        return asyncio.run(_below_supervisor(worker))
    except (InvalidArgument, NotConfigured) as error:
        return _fail(error, EXIT_USAGE)
    except SchemaError as error:
        return _fail(error, EXIT_SCHEMA)
    except ConnectionLost as error:
        return _fail(error, EXIT_CONNECTION)
    except PgQueueError as error:
        return _fail(error, EXIT_FAILED)
    except Exception:
        logger.exception("the worker cannot go on")
        return EXIT_FAILED


async def _below_supervisor(worker: Worker) -> int:
    loop = asyncio.get_running_loop()

    def watch() -> None:
        while sys.stdin.read(4096):
            pass
        try:
            loop.call_soon_threadsafe(worker.stop, "supervisor_gone")
        except RuntimeError:
            return  # ended already

    threading.Thread(target=watch, name="pgqueue supervisor watch", daemon=True).start()
    return await _run(worker)


async def _run(worker: Worker) -> int:
    return leave(await worker.run())


def _fail(error: PgQueueError, code: int) -> int:
    logger.error("the worker cannot start: %s", " ".join(str(error).split()), extra={"sqlstate": error.sqlstate})
    return code


def leave(ended: Ended) -> int:
    """The exit code; does not return when a handler could hold up the end of the event loop or the interpreter for as
    long as it likes.
    """
    if ended.running or ended.is_hard:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.exit_code)
    return ended.exit_code


def to_json(options: Options) -> str:
    """The line a child reads."""
    return json.dumps(asdict(options)) + "\n"
