"""Logs an outage of the lock server in two lines: when it begins and when it ends.

During an outage every order fails, but an operator wants two lines, not one for each order. A server that refuses the
login counts as an outage too; at the start it is an error. Neighbour: `lock_based` reports the failures of orders.
"""

import asyncio
import logging
import time

from stockade.locks import LockError, LockUnavailable
from stockade.locks.aio import Provider

PROBE_INTERVAL_S = 1.0  # while the server is away
PROBE_LOCK = "stock:probe"  # acquired in the same way and with the same rights as the locks of orders
PROBE_LEASE_S = 3.0
START_WAIT_S = 1.0  # for the first probe

log = logging.getLogger(__name__)


class LockServerMonitor:
    """Probes the lock server at the start, and again while it is away.

    Args:
        name: of the strategy, for the log.
        locks: its provider.
    """

    def __init__(self, name: str, locks: Provider) -> None:
        self._name, self._locks = name, locks
        self._away_since_s: float | None = None
        self._back_s = -PROBE_INTERVAL_S
        self._failures = 0
        self._first: asyncio.Future[LockError | None] = asyncio.get_running_loop().create_future()  # a refusal, or None
        self._task: asyncio.Task[None] = asyncio.create_task(self._probe_until_back(), name="stockade-lock-server")

    async def check(self) -> None:
        """Wait for the first probe, `START_WAIT_S` at most. A server that is away may come back: that is no error.

        Raises:
            LockError: it answers, and refuses: the login, the database, a right, a certificate.
        """
        await asyncio.wait([self._first], timeout=START_WAIT_S)
        if not self._first.done():
            self._first.set_result(None)
        elif (refusal := self._first.result()) is not None:
            raise refusal

    def report_failure(self, error: LockError) -> None:
        """An order could not acquire its lock, or not release it."""
        if time.monotonic() - self._back_s < PROBE_INTERVAL_S:  # the call probably began before the server was back
            return
        self._failures += 1
        self._note_away(error)
        if self._task.done():
            self._task = asyncio.create_task(self._probe_until_back(PROBE_INTERVAL_S), name="stockade-lock-server")

    async def close(self) -> None:
        """End the probes."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _probe_until_back(self, pause_s: float = 0.0) -> None:
        while True:  # until a probe succeeds, or `close` cancels this
            await asyncio.sleep(pause_s)
            pause_s = PROBE_INTERVAL_S
            error = await self._probe()
            if not self._first.done():
                refusal = None if isinstance(error, LockUnavailable) else error
                self._first.set_result(refusal)
                if refusal is not None:  # `check` raises it
                    return
            if error is None:
                self._note_back()
                return
            self._note_away(error)

    async def _probe(self) -> LockError | None:
        """Why no lock can be acquired now; None where one can, or where another process holds it."""
        try:
            await self._locks.inspect(PROBE_LOCK)  # a server that refuses this login leaves no acquire to withdraw
            lease = await self._locks.lock(PROBE_LOCK, lease_s=PROBE_LEASE_S, renew=False).acquire(blocking=False)
            if lease is not None:
                await lease.release()
        except LockError as error:  # the server cannot be reached, or refuses; both may end while this process runs
            return error
        return None

    def _note_away(self, error: LockError) -> None:
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
            log.warning("the lock server of %s is away, its orders are refused until it is back: %s", self._name, error)

    def _note_back(self) -> None:
        if self._away_since_s is None:
            return
        self._back_s = time.monotonic()
        away_s, self._away_since_s = self._back_s - self._away_since_s, None
        failures, self._failures = self._failures, 0
        log.warning("the lock server of %s is back after %.1f s; it failed %d times", self._name, away_s, failures)
