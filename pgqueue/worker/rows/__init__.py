"""Row batches and slow queries in a worker.

handlers   of the kinds rows.slice, rows.slow and rows.done
slices     the rows of a slice, one after the other, and what is said of them
blocks     what initializers have given: made when needed, kept, closed
pool       the threads of sync processors
done       the end of a batch: its files, its callback
contexts   the contexts of batches, which slices do not carry
"""

from pgqueue.worker.rows.handlers import RowHandler, Rows

__all__ = ["RowHandler", "Rows"]
