-- The first blocks, so that a queue that nobody maintains yet is partitioned too.
select pgqueue._duty_blocks();
