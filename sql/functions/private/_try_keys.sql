-- One try at the unique keys of new jobs: see _take_keys. `ids` comes out null when a key has gone to somebody else between two looks; the caller then gives up what this try
-- has locked, and tries again.
--
-- In two rounds, each in the order of (queue, key). The first takes the keys that are free; it waits for who has just taken or freed one. The second is for keys that others hold and
-- that this call may take or change all the same: their holder is gone, or on_duplicate says so. It waits only for others in their second round, as it names rows that
-- were committed before: nobody in it waits for one in the first, so that batches which share keys cannot deadlock. And therefore no key is taken in it that has vanished meanwhile.
create function pgqueue._try_keys(inout jobs pgqueue.new_job[], in now_ timestamptz, out ids bigint[])
language plpgsql
as $$
declare
  v_own bigint[] := array(select j.id from unnest(jobs) with ordinality j order by j.ordinality);
  v_gone boolean[];
  v_rest integer[];
  v_job pgqueue.new_job;
  v_at integer;
  v_queue text;
  v_key text;
  v_until timestamptz;
  v_holder bigint;
  v_mine integer;  -- which of the jobs holds the key, where one does
begin
  insert into pgqueue.job_key (queue, unique_key, job_id, until)
  select j.queue, j.unique_key, j.id, case when j.unique_until = 'period' then now_ + j.unique_for end
  from unnest(jobs) j
  where j.unique_key is not null
  order by j.queue, j.unique_key, j.id
  on conflict do nothing;
  -- An old snapshot may show an ended holder beside this transaction's own. The offset: else the index on job_id is walked for the order.
  select array_agg(case when v.unique_key is null then v.id else h.job_id end order by v.ordinality), array_agg(h.gone order by v.ordinality)
  into ids, v_gone
  from unnest(jobs) with ordinality v
  left join lateral (
    select k.job_id, coalesce(k.until <= now_ or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone
    from (select k.job_id, k.until from pgqueue.job_key k where k.queue = v.queue and k.unique_key = v.unique_key offset 0) k
    order by k.job_id desc limit 1) h on true;
  if array_position(ids, null) is not null then
    ids := null;
    return;
  end if;
  if not exists (select from unnest(jobs, ids, v_gone) with ordinality r(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts,
      timeout, expires_at, heartbeat, backoff, headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success,
      on_error, ref, holder, gone, ord) where r.holder <> r.id and (r.gone or r.on_duplicate <> 'return')) then
    return;
  end if;

  -- Each meets what those before it in the call have left.
  v_rest := array(
    select j.ordinality from unnest(jobs) with ordinality j where j.unique_key is not null order by j.queue, j.unique_key, j.ordinality);
  foreach v_at in array v_rest loop
    v_job := jobs[v_at];
    v_until := case when v_job.unique_until = 'period' then now_ + v_job.unique_for end;
    if (v_job.queue, v_job.unique_key) is distinct from (v_queue, v_key) then
      v_queue := v_job.queue;
      v_key := v_job.unique_key;
      v_holder := ids[v_at];
      v_mine := array_position(v_own, v_holder);
    end if;
    if v_holder = v_job.id then
      v_mine := v_at;
    elsif v_mine is null and v_gone[v_at] then
      if not pgqueue._seize_key(v_queue, v_key, v_holder, v_job.id, v_until, now_) then
        ids := null;
        return;
      end if;
      v_holder := v_job.id;
      v_mine := v_at;
    elsif v_job.on_duplicate = 'raise' then
      perform pgqueue._refuse('PQ005',
        case when cardinality(jobs) > 1 then format('element %s: ', v_at) else '' end || format('job %s holds the unique key %L', v_holder, v_key),
        'Without on_duplicate you get the id of that job instead.');
    elsif v_job.on_duplicate in ('replace', 'debounce') and v_mine is not null then
      if v_job.kind <> jobs[v_mine].kind then
        perform pgqueue._refuse('PQ005', format('element %s: element %s holds the unique key %L and is of kind %s, not %s', v_at, v_mine, v_key,
          jobs[v_mine].kind, v_job.kind), 'Arguments are replaced by those of the same kind: give jobs of another kind another key.');
      end if;
      jobs[v_mine].args := v_job.args;
      jobs[v_mine].headers := v_job.headers;
      if v_job.on_duplicate = 'debounce' then
        jobs[v_mine].due := v_job.due;
      end if;
    elsif v_job.on_duplicate in ('replace', 'debounce') then
      v_holder := pgqueue._replace_job(v_job, v_holder, v_until, now_);
      if v_holder is null then
        ids := null;
        return;
      end if;
      v_mine := case when v_holder = v_job.id then v_at end;
    end if;
    ids[v_at] := v_holder;
  end loop;
end $$;
