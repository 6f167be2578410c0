"""Declaring schedules: what `@app.cron` says becomes what is scheduled when a worker starts."""

from __future__ import annotations

import logging

from pgqueue._calls import Calls
from pgqueue.errors import PgQueueError
from pgqueue.registry import App
from pgqueue.worker.events import Teller
from pgqueue.worker.link import Link, describe

__all__ = ["declare_schedules"]

logger = logging.getLogger("pgqueue.worker")


async def declare_schedules(app: App, calls: Calls, link: Link, tell: Teller) -> None:
    """One call for all of them, also when there are none any more. Does not raise: a worker whose schedules are wrong
    still has jobs to run.
    """
    try:
        answers = await link.call(calls.sync_schedules(app.name, app.schedules()))
    except PgQueueError as error:
        logger.error("schedules were not declared: %s", describe(error), extra={"sqlstate": error.sqlstate})
        return
    actions: dict[str, list[str | None]] = {}
    for answer in answers:
        actions.setdefault(answer.action, []).append(answer.name)
        if answer.action == "refused":
            logger.error("schedule refused: %s", answer.error, extra={"schedule": answer.name})
        elif answer.action != "unchanged":
            logger.info("schedule %s", answer.action, extra={"schedule": answer.name})
    tell("scheduled", **actions)
