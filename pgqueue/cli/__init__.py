"""The command line: a thin skin over the SQL functions, one module per group of commands.

`_main` knows the commands by name only and imports a module when its command runs, so `pgqueue --help` costs the import
of click and nothing else. `_options` holds what every command accepts, `_session` the way to a connection, `_errors`
the exit codes, `_output` and `_progress` all that is printed.
"""

from pgqueue.cli._main import cli, main

__all__ = ["cli", "main"]
