"""One module for each workload: NAME, SUMMARY (one line) and `run(bench) -> Iterator[Figure]`."""
