-- Not more than `script_max_waiting` of an owner in one queue, exactly: submits of one owner meet at a lock of that owner's, and only those. (So two transactions that submit for the
-- same two owners, in different orders, may wait for each other, and one is told.) A script waits while it is in the
-- inbox or in line; the one that runs does not count, nor one that is held. Both are asked for as a range of one key, for the reason given in _admit_groups.
create function pgqueue.submit_script(
  document jsonb,
  owner text default null,
  queue text default 'scripts',
  priority integer default 0,
  datasource text default null,
  role text default null,
  settings jsonb default null,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_owner text := pgqueue._check_submit(owner, queue, priority, datasource, role, settings);
  v_now timestamptz := pgqueue._now();
  v_script jsonb;
  v_chars integer;
  v_most integer;
begin
  select c.script_max_chars into v_most from pgqueue.config c;
  v_chars := pgqueue._compact_length(document);
  if v_chars > v_most then
    perform pgqueue._refuse('PQ001', format('the document is too large: %s characters of compact JSON', v_chars),
      format('It may have %s; pgqueue.configure changes script_max_chars.', v_most));
  end if;
  v_script := pgqueue._script_document(document);
  if num_nonnulls(depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
  end if;

  perform pg_advisory_xact_lock(pgqueue._lock_class('owner'), hashtext(queue || E'\x1f' || v_owner));
  id := nextval('pgqueue.job_id');
  insert into pgqueue.script (job_id, created_at, updated_at, length, fallback_status, queue, owner, document)
  values (submit_script.id, v_now, v_now, jsonb_array_length(v_script -> 'queries'),
    case when v_script ?| array['onsuccess', 'onerror'] then 'queued' end, submit_script.queue, v_owner, v_script);
  perform pgqueue._new_sql_job(id, 'sql.script', pgqueue._session_args(datasource, role, settings), queue, v_owner, priority, 256, null,
    depends_on, on_parent_failure, on_success, on_error);
  if depends_on is null or not exists (select from pgqueue.dependent d where d.job_id = submit_script.id) then
    select coalesce((select o.max_waiting from pgqueue.owner o where o.name = v_owner), c.script_max_waiting) into v_most from pgqueue.config c;
    if v_most < (
      select count(*) from (
        (select from pgqueue.line l where l.queue = submit_script.queue and l.owner between v_owner and v_owner and l.traits & 256 <> 0
          order by l.queue, l.owner, l.priority desc, l.job_id limit v_most + 1)
        union all
        (select from pgqueue.arrival a where a.queue = submit_script.queue and a.group_key between v_owner and v_owner and a.traits & 256 <> 0
          order by a.queue, a.group_key, a.seq limit v_most + 1)) w)
    then
      perform pgqueue._refuse('PQ005', format('owner %s has %s scripts waiting in queue %s already', v_owner, v_most, queue),
        'Wait until some have run, or raise max_waiting with pgqueue.configure_owner.');
    end if;
  end if;
  return next;
end $$;

comment on function pgqueue.submit_script is
'Hands a script in: SQL that workers run one query after the other, each in a session of its own.
document: {"query": …, "onsuccess": …, "onerror": …}, where query is a text, an array of texts and objects, or an object that holds such an array and the fallbacks. An object in the
array has "query" and, if wanted, "onsuccess", "onerror" (texts) and "timeout" (milliseconds); what else it has comes back in the report. Fallbacks may hold <%= job_id %> and
<%= error_message %>. A text or an array alone stands for the query.
owner: who it belongs to (default: the role that calls); owners take turns, one query a turn, and the scripts of one run one after the other. datasource: a
name the workers know. role, settings: what the session is to have.
depends_on: ids of jobs, of any kind, that must end first; the script is held until then. on_parent_failure: cancel (default), run or wait. on_success, on_error: jobs to enqueue when it ends, as in enqueue; pass_as of
on_success receives the report without texts and notices.
Errors: PQ001 bad input, or a document of more than 16,384 characters (script_max_chars); PQ002 unknown parent; PQ005 when the
owner has 64 scripts waiting in the queue (script_max_waiting), where one that is held does not count until it is released; PQ008 the queue has max_queued and is full; nothing is stored then.';
