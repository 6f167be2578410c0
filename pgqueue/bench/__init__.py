"""Benchmarks: what pgqueue does on a database, beside what the same database can do at most.

Every figure comes with a limit that was measured in between, by the same drivers, on the same connections, in the same
batches: absolute speed depends on the machine and on what else it does, the ratio hardly. After every round the
database is asked whether each job is final exactly once and none is left; a workload whose counts are wrong fails.

    _base       Bench: what a workload measures with       _place      where it runs
    _figure     what it gives                              _run        workloads in turn
    _limit      the bare table                             _plot       pictures
    _own        what is run against pgqueue itself         _workers    real worker processes; _app, their tasks
    _load       the processes that make the load           _rounds     ours and the limit's in turn
    workloads/  one module each
"""

from __future__ import annotations

from pgqueue.bench._base import Bench, WrongCounts
from pgqueue.bench._figure import Figure
from pgqueue.bench._rounds import Rounds
from pgqueue.bench._run import Sizes, Workload, available, run

__all__ = ["Bench", "Figure", "Rounds", "Sizes", "Workload", "WrongCounts", "available", "run"]
