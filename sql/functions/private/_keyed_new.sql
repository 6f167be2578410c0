-- Makes an item, with the place where it waits unless the caller sees to that, or joins the one that holds the key. Locks: those of enqueue; whoever joins appends a row, and only one who
-- asks for a higher priority moves the item.
create function pgqueue._keyed_new(
  in queue text,
  in key text,
  in payload text,
  in priority integer,
  in orphan_ms bigint,
  in process_id text,
  in exclusive boolean,
  in external_id text,
  in stage_key text,
  in max_attempts integer,
  in reuse boolean,
  in waits boolean,
  out id bigint,
  out created boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_line text := pgqueue._keyed_line(queue);
  v_priority smallint;
  v_ours boolean;
  v_left bigint;
begin
  if reuse then
    id := pgqueue._keyed_fresh(queue, key, v_now);
    if id is not null then
      created := false;
      return;
    end if;
  end if;
  loop
    id := nextval('pgqueue.job_id');
    created := true;
    insert into pgqueue.job_key (queue, unique_key, job_id) values (v_line, _keyed_new.key, id) on conflict do nothing;
    if found then
      exit when not reuse;
      -- Who waited for the key's last holder finds what it left.
      v_left := pgqueue._keyed_fresh(queue, key, v_now);
      exit when v_left is null;
      delete from pgqueue.job_key k where k.job_id = id;
      id := v_left;
      created := false;
      return;
    end if;
    id := pgqueue._keyed_id(queue, key, null);
    continue when id is null;
    select i.priority into v_priority from pgqueue.keyed_item i where i.job_id = id;
    if found then
      created := false;
      perform pgqueue._keyed_join(id, v_now, orphan_ms, external_id);
      if priority > v_priority then
        perform pgqueue._keyed_raise(id, priority::smallint);
      end if;
      return;
    end if;
    -- Ended between the two looks, or a job that is no item.
    select exists (select from pgqueue.job_key k where k.job_id = id) and not exists (select from pgqueue.keyed_item i where i.job_id = id) into v_ours;
    if v_ours then
      perform pgqueue._refuse('PQ005', format('key %s of queue %s belongs to job %s, which is no item', key, queue, id),
        'Give keyed items a queue of their own, apart from jobs with unique keys.');
    end if;
  end loop;

  if exclusive then
    v_line := pgqueue._keyed_line(queue, process_id);
  end if;
  with job as (
    insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, unique_key, args)
    values (_keyed_new.id, v_now, _keyed_new.priority, _keyed_new.max_attempts, v_line, 'keyed.item', _keyed_new.key, '{}')),
  place as (
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select _keyed_new.id, _keyed_new.id, 1025, _keyed_new.priority, 0, v_line where waits),
  what as (
    insert into pgqueue.keyed_payload (job_id, payload) values (_keyed_new.id, _keyed_new.payload)),
  who as (
    insert into pgqueue.keyed_request (job_id, at, orphan_at, external_id)
    select _keyed_new.id, v_now, v_now + pgqueue._ms(orphan_ms), _keyed_new.external_id where external_id is not null)
  insert into pgqueue.keyed_item (job_id, created_at, orphan_at, priority, exclusive, queue, key, process_id, stage_key)
  values (_keyed_new.id, v_now, v_now + pgqueue._ms(orphan_ms), _keyed_new.priority, _keyed_new.exclusive, _keyed_new.queue, _keyed_new.key, _keyed_new.process_id,
    _keyed_new.stage_key);
  if waits then
    perform pgqueue._keyed_stands(v_line, priority);
  end if;
end $$;
