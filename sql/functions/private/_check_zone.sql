-- A time zone: a name of the server's list. Abbreviations and the POSIX form, which PostgreSQL takes too, are refused: 'UTC+2' is two hours west there, and both
-- know no summer time.
create function pgqueue._check_zone(zone text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('time_zone', zone, 100);
  begin
    perform now() at time zone zone;
    -- A name with a slash cannot be anything else; the list is a folder of files to read, a tenth of a second.
    if zone ~ '^[A-Za-z_-]+(/[A-Za-z_-]+)+$' or zone in ('UTC', 'GMT') or exists (select from pg_catalog.pg_timezone_names z where lower(z.name) = lower(zone)) then
      return;
    end if;
  exception
    when data_exception then null;
  end;
  perform pgqueue._refuse('PQ001', format('time_zone is %L, which this server does not know', zone),
    'Give a name of the IANA list, such as Europe/Berlin or UTC; select name from pg_timezone_names shows them.');
end $$;
