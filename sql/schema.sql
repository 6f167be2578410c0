-- pgqueue: the life of a job, in tables.
--
--   enqueue ──► job (written once) ──► ready ──claim──► lease ──settle──► outcome (written once)
--                  │                     ▲                │
--                  ├─► scheduled ────────┤◄── retry ──────┤      due times, retries, snoozes
--                  ├─► arrival ► blocked ┘                │      jobs with a group, waiting for a slot
--                  ├─► suspect ◄────────── lost worker ───┤      jobs that came out of a crash, claimed alone
--                  └─► arrival ► line ◄─── between turns ─┘      scripts and queries, whose owners take turns
--
-- Facts are appended and never updated: `job` says what was asked, `outcome` how it ended, `attempt_error` what went wrong on the
-- way, `job_log` and `job_event` what it said and what was done to it. The five are cut into blocks by job id, made ahead, and dropped whole once everything in them is final and past retention.
-- What churns is narrow: `ready` (one row per queued job) and `lease` (one row per claim and queue, whatever the number of jobs).
--
-- A live job is in exactly one of ready, scheduled, arrival, blocked, suspect, line or a lease; a final one has its outcome. There is no
-- state column: a state is where the job stands, and the functions of the room `inspect` turn that into one word.
--
-- A lease is the fence. Its arrays hold the jobs that are still unsettled; what is no longer in them is refused, so no interleaving of
-- late workers, rescues and cancels records two outcomes for one job.
--
-- Nothing that runs inside a user's transaction (enqueue, cancel) takes a lock that a claim, a settle or another enqueue waits for. Hence:
-- no foreign keys, no counters, no upserts of shared rows on the way, and a `lane` table without a unique constraint.
--
-- The word pgqueue in these files means "this schema": the installer may render it under another name.

do $$
begin
  -- `create schema if not exists` wants CREATE on the database even when the schema is there; a DBA may have made it, and then it is the DBA's.
  if to_regnamespace('pgqueue') is null then
    create schema pgqueue;
  end if;
end $$;
