"""What the server wants of a running worker, told in answers to heartbeats: jobs to cancel, leases lost."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pgqueue.models import Directive
from pgqueue.worker.events import Teller
from pgqueue.worker.executors import Executors
from pgqueue.worker.hands import Hands
from pgqueue.worker.job import READY, RUNNING, Job

__all__ = ["Orders"]

logger = logging.getLogger("pgqueue.worker")


class Orders:
    """Carries out what the server says about jobs in hand."""

    def __init__(self, hands: Hands, executors: Executors, tell: Teller) -> None:
        self._hands = hands
        self._executors = executors
        self._tell = tell

    def obey(self, directives: Iterable[Directive]) -> None:
        """The answer to a heartbeat."""
        for directive in directives:
            if directive.action == "lost":
                self.drop([job for job in self._hands.held.values() if job.lease == directive.lease])
            elif directive.action == "cancel" and directive.job_id is not None:
                job = self._hands.held.get(directive.job_id)
                if job is not None and job.lease == directive.lease and job.state <= RUNNING and job.stop is None:
                    logger.info("cancelling a job, as asked", extra={"job_id": job.id, "kind": job.kind})
                    self._executors.stop(job, "cancel")

    def drop(self, jobs: Iterable[Job]) -> None:
        """These leases are no longer ours. What has ended already is handed in all the same, and refused if need be."""
        lost = [job for job in jobs if job.state in (READY, RUNNING)]
        for lease in {job.lease for job in lost}:
            logger.error("a lease was lost: its jobs are dropped", extra={"lease": lease})
            self._tell("lost", lease=lease)
        for job in lost:
            self._executors.stop(job, "lost")

    def drop_all(self) -> None:
        """The server has declared this worker lost."""
        self.drop(list(self._hands.held.values()))
