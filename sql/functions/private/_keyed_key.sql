-- Takes the key of a new item, or joins the one that holds it (created false). Locks: those of enqueue; whoever joins appends a row, and only one who
-- asks for a higher priority moves the item.
create function pgqueue._keyed_key(
  in queue text,
  in key text,
  in priority integer,
  in orphan_ms bigint,
  in external_id text,
  in reuse boolean,
  out id bigint,
  out created boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_priority smallint;
  v_left bigint;
begin
  loop
    if reuse then
      -- Also once the key is had: who waited for its last holder finds what it left.
      v_left := pgqueue._keyed_fresh(queue, key, pgqueue._now());
      if v_left is not null then
        delete from pgqueue.job_key k where k.job_id = id;
        id := v_left;
        created := false;
        return;
      end if;
    end if;
    exit when created;
    insert into pgqueue.job_key (queue, unique_key, job_id) values (pgqueue._keyed_line(queue), _keyed_key.key, nextval('pgqueue.job_id'))
    on conflict do nothing
    returning job_id, true into id, created;
    exit when created and not reuse;
    continue when created;
    id := pgqueue._keyed_id(queue, key, null);
    continue when id is null;
    select i.priority into v_priority from pgqueue.keyed_item i where i.job_id = id;
    if found then
      created := false;
      perform pgqueue._keyed_join(id, pgqueue._now(), orphan_ms, external_id);
      if priority > v_priority then
        perform pgqueue._keyed_raise(id, priority::smallint);
      end if;
      return;
    end if;
    -- Ended between the two looks, or a job that is no item.
    if exists (select from pgqueue.job_key k where k.job_id = id) and not exists (select from pgqueue.keyed_item i where i.job_id = id) then
      perform pgqueue._refuse('PQ005', format('key %s of queue %s belongs to job %s, which is no item', key, queue, id),
        'Give keyed items a queue of their own, apart from jobs with unique keys.');
    end if;
    id := null;
  end loop;
end $$;
