"""A real PostgreSQL server of one's own, kept in a folder: for trying things, for tests, for a machine without a
database.

from pgqueue.embedded import Instance
instance = Instance(".pgqueue")
instance.start()
print(instance.dsn)
"""

from pgqueue.embedded.binaries import Binaries, find
from pgqueue.embedded.errors import EmbeddedError
from pgqueue.embedded.instance import Instance, InstanceStatus
from pgqueue.embedded.throwaway import throwaway

__all__ = ["Binaries", "EmbeddedError", "Instance", "InstanceStatus", "find", "throwaway"]
