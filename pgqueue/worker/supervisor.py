"""P worker processes: started, watched, started again when they crash, stopped together.

Each is a process of its own with a session of its own, so that a Ctrl-C in the terminal reaches the supervisor alone,
which passes it on once. A child that ends in order (drained) is not replaced; one that crashes is, after a delay that
grows while it keeps crashing; one that says it cannot work as told (wrong options, wrong schema) ends everything.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import replace
from typing import Any

from pgqueue.errors import InvalidArgument
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.entry import EXIT_SCHEMA, EXIT_USAGE, Options, to_json
from pgqueue.worker.events import Hook, Teller
from pgqueue.worker.signals import HANDLED, handled_signals

__all__ = ["Supervisor", "supervise"]

logger = logging.getLogger("pgqueue.worker")

_HEALTHY_AFTER = 60.0
_HOPELESS = (EXIT_USAGE, EXIT_SCHEMA)


def supervise(app_path: str, *, processes: int, on_event: Hook | None = None, **options: Any) -> int:
    """Runs `processes` workers until they are drained or this process is signalled; returns the exit code.

    Options are those of `main_for_cli`. Events: child_started(number, pid) · child_ended(number, pid, code).
    """
    known = {
        key: options.pop(key) for key in list(options) if key in Options.__dataclass_fields__ and key != "settings"
    }
    return asyncio.run(
        Supervisor(Options(app_path=app_path, settings=options, **known), processes, on_event=on_event).run()
    )


class Supervisor:
    """Keeps `processes` children alive. Raises InvalidArgument."""

    def __init__(self, options: Options, processes: int, *, on_event: Hook | None = None) -> None:
        if processes < 1:
            raise InvalidArgument(f"processes must be at least 1, not {processes}")
        self._options = options
        self._processes = processes
        self._tell = Teller(on_event)
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._code = 0

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Pass a signal on to all children, and start none any more."""
        logger.info("passing a signal on", extra={"signal": number.name, "children": len(self._children)})
        self._stopping.set()
        for child in self._children.values():
            _send(child, number)

    async def run(self) -> int:
        """Returns the exit code when all children have ended: 0, or that of the first one that ended badly for good."""
        with handled_signals(self.stop):
            await asyncio.gather(*(self._keep(number) for number in range(1, self._processes + 1)))
        return self._code

    async def _keep(self, number: int) -> None:
        """One child, again and again."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(first=0.5, most=30.0)
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._one(number)
            if code == 0 or (self._stopping.is_set() and -code in HANDLED):
                return  # the latter: before it could handle signals, so before it had anything to lose
            if self._stopping.is_set() or code in _HOPELESS:
                self._code = self._code or (code if code > 0 else 128 - code)
                if not self._stopping.is_set():
                    self.stop()
                return
            if loop.time() - started > _HEALTHY_AFTER:
                backoff.reset()
            delay = backoff.delay()
            logger.error(
                "a worker process ended, another follows",
                extra={"child": number, "code": code, "seconds": round(delay, 2)},
            )
            try:
                async with asyncio.timeout(delay):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _one(self, number: int) -> int:
        options = self._options
        if options.name is not None:
            options = replace(options, name=f"{options.name}-{number}")
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pgqueue.worker",
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._children[number] = child
        logger.info("worker process started", extra={"child": number, "pid": child.pid})
        self._tell("child_started", number=number, pid=child.pid)
        try:
            if self._stopping.is_set():
                _send(child, signal.SIGTERM)
            if child.stdin is not None:
                child.stdin.write(to_json(options).encode())
            code = await child.wait()
        finally:
            del self._children[number]
            if child.stdin is not None:
                child.stdin.close()
        self._tell("child_ended", number=number, pid=child.pid, code=code)
        return code


def _send(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        child.send_signal(number)
    except ProcessLookupError:
        return  # it has just ended; `wait` says how
