-- A script as one who may see it sees it; to others it is as unknown as one that never was. `locked`: for a change.
create function pgqueue._script_or_refuse(id bigint, as_owner text, locked boolean) returns pgqueue.script
language plpgsql
as $$
declare
  v_script pgqueue.script;
begin
  if locked then
    select * into v_script from pgqueue.script s where s.job_id = id for update;
  else
    select * into v_script from pgqueue.script s where s.job_id = id;
  end if;
  if v_script.job_id is null or v_script.owner <> as_owner then
    perform pgqueue._refuse('PQ002', format('script %s not found', coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, it is past its retention, or it belongs to another owner.');
  end if;
  return v_script;
end $$;
