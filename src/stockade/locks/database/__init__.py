"""Mutexes held by database sessions: a few connections per provider carry all its holders and waiters.

An acquisition passes `backend.py` (the provider's side), `runner.py` (where the asyncio drivers run),
`session_locks.py` (all locks of one event loop), `wait_queue.py` (the callers that want one name), `acquirer.py` (one
name on the server), `pool.py` (the connections) and `session.py` (one of them). The statements are in `postgres.py`
and `mysql.py`, which fulfil `dialect.py`.

When a session ends, `pool.py` drops it and reports its owners, `session_locks.py` forgets what they held, and
`backend.py` calls `on_lost` in a task or thread of its own: `engine/manager.py` marks the leases as lost.
"""
