"""`python -m pgqueue.cli` is `pgqueue`, also where no scripts folder is on PATH."""

from pgqueue.cli import main

main()
