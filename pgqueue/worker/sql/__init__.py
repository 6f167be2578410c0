"""Jobs that are SQL: scripts and queries.

    engine     the handlers of their kinds, and the queue's own connections
    turn       one claim of one job, from connecting to the settlement; what is done in between: script, query
    session    the user's session: opened for one text, ended at any moment
    driver     libpq, awaited                            running    a text whose rows are let go
    chunks     rows on their way into the store          sources    names of databases
    notices    what the server says meanwhile            failures   why SQL has failed
    statements what is said to the user's server

A user's SQL runs on a connection of its own, in autocommit, outside of every transaction of the queue's.
"""

from pgqueue.worker.sql.engine import Engine, SqlHandler
from pgqueue.worker.sql.sources import Sources

__all__ = ["Engine", "Sources", "SqlHandler"]
