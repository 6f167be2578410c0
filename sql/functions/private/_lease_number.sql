-- Ids of leases must never come again, and a worker's claim may commit asynchronously: after a crash of the server the sequence may repeat its last
-- numbers, while a worker still holds a lease of that number from before. Sixteen random bits tell them apart; the order stays that of claims.
create function pgqueue._lease_number() returns bigint
language sql volatile
return (nextval('pgqueue.lease_id') << 16) | (65536 * random())::bigint % 65536;
