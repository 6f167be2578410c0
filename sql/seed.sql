-- The first blocks, so that a queue that nobody maintains yet is partitioned too.
select pgqueue._duty_blocks();

-- Long SQL in the background leaves the server room for others. An operator changes it with configure_queue.
select pgqueue.configure_queue('scripts', '{"max_running": 4}');
