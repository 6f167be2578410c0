"""The limit: as little as a queue built on SKIP LOCKED can do. One bare table, rows deleted when they are taken,
nothing kept. What pgqueue does is measured against it, by the same drivers in the same batches.
"""

from __future__ import annotations

from pgqueue.bench._load import Script

ARGS = '{"a": 1, "b": "hello world"}'
"""The arguments of every job: some 200 bytes a row, all told."""


def install_sql(schema: str) -> str:
    """The table and its two functions, in a schema that exists."""
    return f"""
create table {schema}.bare (id bigint generated always as identity primary key, args jsonb not null);
create function {schema}.bare_enqueue(n int) returns void language sql as $$
  insert into {schema}.bare (args) select '{ARGS}' from generate_series(1, n) $$;
create function {schema}.bare_drain(n int) returns setof {schema}.bare language plpgsql as $$
declare picked tid[];
begin
  picked := array(select ctid from {schema}.bare order by id limit n for update skip locked);
  return query delete from {schema}.bare where ctid = any(picked) returning *;
end $$;
"""


def enqueue(schema: str, batch: int) -> Script:
    """One call, one batch."""
    return Script((f"select {batch}, {batch} from (select {schema}.bare_enqueue({batch})) as done",))


def enqueue_single(schema: str) -> Script:
    """One job, one transaction."""
    return Script((f"insert into {schema}.bare (args) values ('{ARGS}') returning 1, 1",))


def drain(schema: str, batch: int) -> Script:
    """A batch is taken and with that done with."""
    return Script((f"select count(*), count(*) from {schema}.bare_drain({batch})",))
