"""The worker: claims jobs, runs their handlers, hands in how they ended.

    from pgqueue.worker import Worker
    await Worker(app, queues=["default"], concurrency=20).run()

From the command line: `pgqueue worker module:app`. The parts, each a small loop that starts, stops and does one thing:

    worker      the parts together, starting and stopping     loop        claims and settlements, in lanes
    hands       what is in hand, how much more to ask for     executors/  runners (async) and threads (sync)
    heartbeat   liveness, the watchdog over the event loop    notify      LISTEN, sleeping, session locks
    upkeep      the leader's duties                           supervisor  several processes
    link, wire  connections and the hot statements            signals, logs, events, settings, progress
"""

from pgqueue.worker.entry import main_for_cli
from pgqueue.worker.events import Event, Hook
from pgqueue.worker.executors import current_context
from pgqueue.worker.settings import Settings
from pgqueue.worker.supervisor import Supervisor, supervise
from pgqueue.worker.worker import Ended, Worker

__all__ = [
    "Ended",
    "Event",
    "Hook",
    "Settings",
    "Supervisor",
    "Worker",
    "current_context",
    "main_for_cli",
    "supervise",
]
