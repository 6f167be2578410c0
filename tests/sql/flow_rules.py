"""What must hold between any two transactions, whatever has been done; see flow_machine.py."""

from __future__ import annotations

from typing import Any

from tests.sql.calls import Caller, Row
from tests.sql.test_flow_histories import FLOW
from tests.sql.test_histories import STANDING

# Jobs that other jobs have brought forth, written down as they are stored: queues without history forget them.
BORN = """
  create table public.born (id bigint, parent bigint, kind text, letter_of bigint);
  create function public.note_born() returns trigger language plpgsql as $$
  begin
    insert into public.born values (new.id, (new.headers #>> '{parent,job}')::bigint, new.kind,
      (new.headers #>> '{dead_letter,job}')::bigint);
    return null;
  end $$;
  create trigger note_born after insert on pgqueue.job for each row when (new.headers is not null)
    execute function public.note_born()"""

WAITING = """(
    select job_id, traits, queue from pgqueue.ready union all select job_id, traits, queue from pgqueue.scheduled
    union all select job_id, traits, queue from pgqueue.arrival where job_id is not null
    union all select job_id, traits, queue from pgqueue.blocked
    union all select job_id, traits, queue from pgqueue.suspect
    union all select job_id, traits, queue from pgqueue.dependent)"""
LEASED = (
    "(select j as job_id, coalesce(t, 0) as traits, l.queue from pgqueue.lease l, unnest(l.job_ids, l.traits) e(j, t))"
)

RULES: dict[str, str] = {
    "stands in one place": STANDING,
    "waits for its parents": "with retried as (select 0::bigint as id where false) "
    + FLOW.split("  union all\n  select 'started before")[0],
    "a place of a group is that of its job": """
      select s.* from pgqueue.slot s
      left join pgqueue.outcome o on o.job_id = s.job_id
      left join pgqueue.job j on j.id = s.job_id
      where case s.state
        when 2 then s.job_id not in (select job_id from pgqueue.scheduled where traits & 32768 <> 0)
        when 3 then not (o.state = 'failed' or j.id is null
          or s.job_id in (select job_id from pgqueue.dependent where traits & 32768 <> 0))
        when 4 then s.job_id not in (select job_id from pgqueue.blocked
          union select job_id from pgqueue.arrival where job_id is not null)
        else s.job_id not in (select job_id from pgqueue.ready union select job_id from pgqueue.suspect
          union select job_id from """
    + LEASED
    + """ l)
        end or j.queue <> s.queue or j.group_key <> s.group_key""",
    "nobody is admitted without a place": """
      select w.* from (select job_id, traits from pgqueue.ready union all select job_id, traits from pgqueue.suspect
        union all select job_id, traits from """
    + LEASED
    + """ l) w
      where w.traits & 2 <> 0 and w.job_id not in (select job_id from pgqueue.slot)""",
    "a job knows its queue": f"""
      select w.* from {WAITING} w join pgqueue.job j on j.id = w.job_id where j.queue <> w.queue""",
    "one waits for a key": f"""
      select j.queue, j.unique_key, array_agg(j.id) from {WAITING} w join pgqueue.job j on j.id = w.job_id
      where j.unique_key <> 'period' and not exists (
        select from pgqueue.scheduled s
        where s.job_id = j.id and s.job_id not in (select k.job_id from pgqueue.job_key k))
      group by 1, 2 having count(*) > 1""",
    "one lives for a key": f"""
      select j.queue, j.unique_key, array_agg(j.id)
      from (select * from {WAITING} w union all select * from {LEASED} l) w join pgqueue.job j on j.id = w.job_id
      where j.unique_key in ('return', 'raise') group by 1, 2 having count(*) > 1""",
    "what waits holds its key": f"""
      select j.id, j.unique_key from {WAITING} w join pgqueue.job j on j.id = w.job_id
      where j.unique_key <> 'period' and w.job_id not in (select k.job_id from pgqueue.job_key k)
        and w.job_id not in (select s.job_id from pgqueue.scheduled s)""",
    "a key is that of a job that lives": """
      select k.* from pgqueue.job_key k left join pgqueue.outcome o on o.job_id = k.job_id
      left join pgqueue.job j on j.id = k.job_id
      where k.until is null and (o.job_id is not null or j.id is null)
        and k.job_id not in (select l.job_id from pgqueue.left_key l)""",
    "what runs holds its key": f"""
      select j.id, j.unique_key from {LEASED} l join pgqueue.job j on j.id = l.job_id
      where j.unique_key in ('return', 'raise') and l.job_id not in (select k.job_id from pgqueue.job_key k)""",
    "follow-ups once": """
      select b.parent, count(*) from public.born b
      where b.parent is not null and b.parent <> all(%s) group by 1 having count(*) > 1""",
    "follow-ups of what has ended": """
      select o.job_id, o.state, f.outcome from pgqueue.outcome o join pgqueue.follow_up f on f.job_id = o.job_id
      where f.outcome = case o.state when 'succeeded' then 'success' else 'error' end
        and 1 > (select count(*) from public.born b where b.parent = o.job_id)
      union all
      select b.parent, null, b.kind from public.born b
      left join pgqueue.outcome o on o.job_id = b.parent join pgqueue.job j on j.id = b.parent
      where b.parent <> all(%s) and (o.state is null or (o.state = 'succeeded') <> (b.kind = 'good'))""",
    "no follow-up is late": "select * from pgqueue.late_follow_up",
    "one dead letter": "select letter_of from public.born where letter_of is not null group by 1 having count(*) > 1",
    "dead letters of what has failed": """
      select o.job_id from pgqueue.outcome o join pgqueue.job j on j.id = o.job_id
      where j.queue = 'a' and o.state = 'failed'
        and o.job_id not in (select letter_of from public.born where letter_of is not null)
        and not coalesce(j.headers #> '{dead_letter,path}' ? 'dead', false)""",
}


# In one query: planned once.
_ALL = " union all ".join(f"select '{name}', to_jsonb(x)::text from ({query}) x" for name, query in RULES.items())


def broken_rules(caller: Caller, retried: list[int]) -> list[Any]:
    """The rules that do not hold, and the rows that break them."""
    return caller.sql(_ALL, *[retried] * _ALL.count("%s"))


# Groups with jobs that wait though the next may start, and nobody has been asked to look at them. What is not committed
# is not seen: only when no transaction is open.
FORGOTTEN = """
  select w.queue, w.group_key, w.places
  from (
    select b.queue, b.group_key, b.jobs, least(
      coalesce(g.group_limit, q.group_limit) - (
        select count(*) from pgqueue.slot s
        where s.queue = b.queue and s.group_key = b.group_key and (s.state <> 4 or not q.counted)),
      case when q.fair then coalesce(g.weight, 1) - (
        select count(*) from pgqueue.slot s where s.queue = b.queue and s.group_key = b.group_key and s.state = 0) end,
      coalesce(g.rate_limit, q.group_rate_limit) - (
        select count(*) from pgqueue.slot s where s.queue = b.queue and s.group_key = b.group_key and s.state = 0) - (
        select coalesce(sum(r.jobs), 0) from pgqueue.group_start r
        where r.queue = b.queue and r.group_key = b.group_key
          and r.started_at > %s - coalesce(g.rate_period, q.group_rate_period, '1 second'))) as places
    from (select queue, group_key, count(*) as jobs from pgqueue.blocked group by 1, 2) b
    join pgqueue.queue q on q.name = b.queue
    left join pgqueue.group_setting g on q.own_groups and g.queue = b.queue and g.group_key = b.group_key) w
  where coalesce(w.places, 1) > 0
    and not exists (select from pgqueue.arrival a where a.queue = w.queue and a.group_key = w.group_key)
    and not exists (select from pgqueue.group_wait h where h.queue = w.queue and h.group_key = w.group_key)"""


def blocks_nobody(caller: Caller, jobs: list[int]) -> list[Any]:
    """Of jobs just settled that held a place in their group: those that have failed and should have kept it."""
    return caller.sql(
        """select o.job_id, j.queue, j.group_key from pgqueue.outcome o join pgqueue.job j on j.id = o.job_id
           join pgqueue.queue q on q.name = j.queue
           where o.job_id = any(%s) and o.state = 'failed' and q.group_failure = 'block'
             and o.job_id not in (select s.job_id from pgqueue.slot s where s.state = 3)""",
        jobs,
    )


def started_badly(caller: Caller, jobs: list[int], retried: list[int]) -> list[Any]:
    """Of jobs just claimed: those with parents that have not ended as they must."""
    return caller.sql(
        """select j.id, p.id, d.policy, o.state from pgqueue.job j
           cross join unnest(j.depends_on) p(id)
           join pgqueue.dependency d on d.parent_id = p.id and d.child_id = j.id
           join pgqueue.job parent on parent.id = p.id
           left join pgqueue.outcome o on o.job_id = p.id
           where j.id = any(%s) and not array[j.id, p.id] && %s::bigint[]
             and (o.state is null or o.state <> 'succeeded' and d.policy <> 'run')""",
        jobs,
        retried,
    )


def live_apart_from(caller: Caller, row: Row, jobs: list[int]) -> list[Any]:
    """Of these jobs, those of the same group and queue that live."""
    return caller.sql(
        """select j.id from pgqueue.job j left join pgqueue.outcome o on o.job_id = j.id
           where j.id = any(%s) and j.queue = %s and j.group_key = %s and o.job_id is null""",
        jobs,
        row["queue"],
        row["group_key"],
    )
