"""Running a text in a session and letting its rows go: scripts, and statements of queries that have no rows."""

from __future__ import annotations

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from pgqueue.worker.sql.driver import error_of
from pgqueue.worker.sql.failures import SqlFailure, refused_copy
from pgqueue.worker.sql.session import Session

__all__ = ["run"]

_COPY = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)


async def run(session: Session, sql: str) -> str | None:
    """Runs a text of any number of statements to its end; the last one's command tag. Raises SqlFailure."""
    driver = session.driver
    command: str | None = None
    failure: SqlFailure | None = None
    with session.statement():
        try:
            await driver.send(sql.encode())
            while (result := await driver.next()) is not None:
                if result.status in _COPY:
                    failure = failure or refused_copy()
                    await _refuse(session, result)
                elif (error := error_of(result)) is not None:
                    failure = failure or session.failure(error)
                elif result.command_status:
                    command = result.command_status.decode()
        except psycopg.Error as error:
            failure = failure or session.failure(error)
    if failure is not None:
        raise failure
    return command


async def _refuse(session: Session, result: PGresult) -> None:
    """Ends a COPY that has begun all the same."""
    if result.status == ExecStatus.COPY_IN:
        session.driver.refuse_copy()
        return
    session.interrupt("refused")
    while await session.driver.copy_lines() is not None:
        continue
