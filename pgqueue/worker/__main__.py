"""One worker process below a supervisor: see `entry`."""

import sys

from pgqueue.worker.entry import child_main

if __name__ == "__main__":
    sys.exit(child_main())
