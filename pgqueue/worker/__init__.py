"""The worker: claims jobs, runs their handlers, hands in how they ended.

    from pgqueue.worker import Worker
    await Worker(app, queues=["default"], concurrency=20).run()

From the command line: `pgqueue worker module:app`. The parts, each a small loop that starts, stops and does one thing:

    worker        the parts together, starting and stopping    loop, plan    claims and settlements; which is next
    finishing     the soft stop                                idle          when to ask, when to sleep
    hands, job    what is in hand, how much more to ask for    executors/    runners (async) and threads (sync)
    heartbeat     liveness, the watchdog of the event loop     orders        what the server wants of jobs in hand
    notify        LISTEN, sleeping, session locks              upkeep        the leader's duties
    registration  being known to the server                    progress      what handlers say while they run
    draining      ending when nothing is left                  patrol        giving back what cannot start soon
    supervisor    several processes                            entry         how a process begins
    sql/          scripts and queries                          rows/         rows of batches and slow queries
    lane, line    one connection's turns; libpq underneath     settling      outcomes that were refused
    link, links   connections, and what each is for            wire          the hot statements
    signals, logs, events, settings, backoff, background
"""

from pgqueue.worker.ended import Ended
from pgqueue.worker.entry import main_for_cli
from pgqueue.worker.events import Event, Hook
from pgqueue.worker.executors import current_context
from pgqueue.worker.settings import Settings
from pgqueue.worker.supervisor import Supervisor, supervise
from pgqueue.worker.worker import Worker

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
