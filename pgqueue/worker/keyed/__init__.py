"""Keyed queues in a worker.

handlers   of the kind keyed.item: an item is read, executed, settled; what happens when it has to stop
reaping    items that nobody asks for any more; the budgets of queues
"""

from pgqueue.worker.keyed.handlers import KeyedHandler
from pgqueue.worker.keyed.reaping import Keyed

__all__ = ["Keyed", "KeyedHandler"]
