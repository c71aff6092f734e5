"""The state machine of a lock: acquire, hold, renew, release.

A lease is lost when `held_lock.py` finds its deadline in the past, when the server no longer knows it at a renewal
(`renewal.py`) or at its release (`release.py`), or when the backend notices it (`manager.py`, `mark_owner_lost`). Each
of them calls `HeldLock.mark_lost`: it stops the renewal, emits the event (`reporter.py`), cancels the task of the
block, calls the `on_lost` callbacks and wakes `wait_lost`. At the end of the block `release.py` raises LockLost.
"""
