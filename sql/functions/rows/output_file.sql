create function pgqueue.output_file(id bigint, name text, after_line integer default null, after_row integer default null, chars integer default 1000000, as_owner text default null)
returns table (data text, next_line integer, next_row integer, is_last boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch;
  v_row record;
  v_parts text[] := array[]::text[];
  v_size bigint := 0;
  v_rows integer := 0;
begin
  select * into v_batch from pgqueue.batch b where b.id = output_file.id;
  if v_batch.id is null then
    perform pgqueue._refuse('PQ002', format('batch %s is unknown', coalesce(id::text, 'null')), 'It was never submitted, or it has been purged.');
  end if;
  perform pgqueue._check_owner(v_batch, as_owner);
  if v_batch.done_at is null then
    perform pgqueue._refuse('PQ005', format('batch %s is not over', id), 'Its output files are there when it is.');
  end if;
  if not exists (select from pgqueue.batch_file f where f.batch_id = output_file.id and f.name = output_file.name) then
    perform pgqueue._refuse('PQ002', format('batch %s has no output file %L', id, name), 'batch_status names those it has.');
  end if;
  if chars is null or chars not between 1 and 100000000 then
    perform pgqueue._refuse('PQ001', format('chars is %s', coalesce(chars::text, 'null')), 'Give about how many characters you want at a time, from 1 to 100000000.');
  end if;
  is_last := true;
  for v_row in
    -- In one expression: a call for each row would be most of the time it takes.
    select o.line, o.row_id, case jsonb_typeof(o.output -> name)
      when 'array' then (
        select string_agg(l.text || E'\n', '' order by l.nth)
        from jsonb_array_elements_text(o.output -> name) with ordinality l(text, nth) where l.text is not null)
      when 'null' then null
      else (o.output ->> name) || E'\n' end as text
    from pgqueue.row_outcome o
    where o.batch_id between output_file.id and output_file.id
      and (o.line, o.row_id) > (coalesce(after_line, -1), coalesce(after_row, 2147483647 * (after_line is not null)::integer - (after_line is null)::integer))
    order by o.batch_id, o.line, o.row_id limit 100001
  loop
    v_rows := v_rows + 1;
    if v_size >= chars or v_rows > 100000 then
      is_last := false;
      exit;
    end if;
    next_line := v_row.line;
    next_row := v_row.row_id;
    if v_row.text is not null then
      v_parts := array_append(v_parts, v_row.text);
      v_size := v_size + length(v_row.text);
    end if;
  end loop;
  data := array_to_string(v_parts, '');
  return next;
end $$;

comment on function pgqueue.output_file is
'A piece of an output file of a batch that is over: lines of its rows in the order of (line, row id). Begin with nulls; next_line and next_row are after_line and after_row of the next call, until is_last. chars: about how many
characters at a time; a piece can be empty where no row has lines for this file. Errors: PQ001; PQ002 no such batch or file; PQ005 the batch is not over.';
