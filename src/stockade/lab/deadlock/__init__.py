"""The deadlock bench: a deadlock made on purpose on each database, and what each way to avoid it costs.

A deadlock needs four conditions at once: mutual exclusion, hold and wait, no preemption, circular wait (Coffman,
Elphick, Shoshani 1971, "System Deadlocks"). One after the other is taken away. Neighbours: `experiments.py` plays all
of it, `duel.py` two transactions, `crossing.py` two statements of several rows, `load.py` many workers under each of
`arms.py`, `pool.py` the deadlock of a connection pool, `one_writer.py` SQLite.
"""
