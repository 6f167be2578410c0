# Generated from pgqueue/_async/flow.py by pgqueue/_async/generate.py: change it there.
"""Sending the slices of a flow: all of it or nothing."""

from __future__ import annotations

from psycopg.pq import TransactionStatus

from pgqueue._bulk import located
from pgqueue._flowplan import Element, Plan
from pgqueue._sync.client import Client
from pgqueue.errors import InvalidArgument

__all__ = ["send_plan"]


def send_plan(client: Client, plan: Plan) -> None:
    """Sends all slices in one transaction; on the caller's connection in the transaction it is in, within a savepoint
    when there are several.

    Raises the exceptions of pgqueue.errors; what a generator of calls raises is left as it is. Nothing stays then.
    """
    parts = plan.slices()
    opening = [
        part for part in (next(parts, None), next(parts, None)) if part is not None
    ]
    if len(opening) < 2:
        # One statement is all or nothing by itself.
        for part in opening:
            _send(client, plan, part)
        return
    given = client.connection
    if (
        given is not None
        and not given.autocommit
        and given.info.transaction_status == TransactionStatus.IDLE
    ):
        # As in `bulk`: psycopg would take the savepoint for the transaction, and commit it.
        client.run(client.calls.enqueue_many([]))
    with client.transaction() as inside:
        for part in opening:
            _send(inside, plan, part)
        for part in parts:
            _send(inside, plan, part)


def _send(client: Client, plan: Plan, part: list[Element]) -> None:
    try:
        plan.take(client.run(plan.call(part)))
    except InvalidArgument as error:
        if error.sqlstate is None:
            raise
        raise located(error, plan.jobs, len(part)) from error
