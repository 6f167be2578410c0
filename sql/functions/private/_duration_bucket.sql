-- Which power of two of a millisecond a span belongs to: 0 below 1 ms, 1 from 1 to below 2 ms, 2 from 2 to below 4 ms …, 41 from 2^40 ms (35 years) on. Null for none; 0 for one that a
-- clock set back has made negative. A list, since a logarithm of numeric takes longer than all the rest of counting an outcome.
create function pgqueue._duration_bucket(span interval) returns integer
language sql immutable
return width_bucket((extract(epoch from span) * 1000)::float8, array[
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216,
  33554432, 67108864, 134217728, 268435456, 536870912, 1073741824, 2147483648, 4294967296, 8589934592, 17179869184, 34359738368, 68719476736, 137438953472,
  274877906944, 549755813888, 1099511627776]::float8[]);
