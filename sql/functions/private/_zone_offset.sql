-- How far the clocks of a zone are ahead of UTC at a moment.
create function pgqueue._zone_offset(at timestamptz, zone text) returns interval
language sql stable
return (at at time zone zone) - (at at time zone 'UTC');
