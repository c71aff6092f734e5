"""Mutexes held by database sessions: a few connections per provider carry all its holders and waiters.

`backend.py` is the provider's side, `runner.py` where the asyncio drivers run, `engine.py` the locks of one event
loop, `waitqueue.py` the callers that want one name, `pool.py` the connections, `session.py` one of them, `dialect.py`
what a kind of database must offer. The statements are in `locks/database/postgres.py` and `locks/database/mysql.py`.
"""

from stockade.locks.database.backend import SessionBackend
from stockade.locks.database.runner import AwaitingRunner, LoopThreadRunner

__all__ = ["AwaitingRunner", "LoopThreadRunner", "SessionBackend"]
