"""Whether the lock server can be used, told to the log once when that ends and once when it is back.

Orders meet an outage first, and each of them fails; who reads the log wants two lines, not one for each order. A server
that answers and refuses the login is of no more use than one that is away; at the start it ends the start.
Neighbour: `locked` tells failures here.
"""

import asyncio
import logging
import time

from stockade.locks import LockError, LockUnavailable
from stockade.locks.aio import Provider

ASK_AGAIN_S = 1.0  # between two questions to a server that is away
PROBE = "stock:probe"  # the lock that is tried: by the same way and with the same rights as the locks of orders
PROBE_LEASE_S = 3.0
FIRST_WAIT_S = 1.0  # for which a start waits for the first answer

log = logging.getLogger(__name__)


class LockWatch:
    """Asks the lock server at the start, and again while it is away.

    Args:
        name: of the strategy, for the log.
        locks: its provider.
    """

    def __init__(self, name: str, locks: Provider) -> None:
        self._name, self._locks = name, locks
        self._away_since_s: float | None = None
        self._back_s = -ASK_AGAIN_S
        self._refused = 0
        self._first: asyncio.Future[LockError | None] = asyncio.get_running_loop().create_future()  # a refusal, or None
        self._task: asyncio.Task[None] = asyncio.create_task(self._ask(), name="stockade-lock-server")

    def failed(self, error: LockError) -> None:
        """An order could not be locked, or its lock not be given back."""
        if time.monotonic() - self._back_s < ASK_AGAIN_S:  # asked before the server was back, as far as is known
            return
        self._refused += 1
        self._away(error)
        if self._task.done():
            self._task = asyncio.create_task(self._ask(ASK_AGAIN_S), name="stockade-lock-server")

    async def check(self) -> None:
        """Wait for the first answer, `FIRST_WAIT_S` at most: a server that is away may come back, so it is no error.

        Raises:
            LockError: it answers, and refuses: the login, the database, a right, a certificate.
        """
        await asyncio.wait([self._first], timeout=FIRST_WAIT_S)
        if not self._first.done():
            self._first.set_result(None)
        elif (refusal := self._first.result()) is not None:
            raise refusal

    async def close(self) -> None:
        """Ask no more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _away(self, error: LockError) -> None:
        if self._away_since_s is None:
            self._away_since_s = time.monotonic()
            log.warning("the lock server of %s is away, its orders are refused until it is back: %s", self._name, error)

    async def _ask(self, pause_s: float = 0.0) -> None:
        """Until it answers, and grants."""
        while True:  # until it does, or `close` cancels it
            await asyncio.sleep(pause_s)
            pause_s = ASK_AGAIN_S
            error = await self._try()
            if not self._first.done():
                refusal = None if isinstance(error, LockUnavailable) else error
                self._first.set_result(refusal)
                if refusal is not None:  # whoever starts says so
                    return
            if error is None:
                self._back()
                return
            self._away(error)

    async def _try(self) -> LockError | None:
        """Why no lock can be had now; None: one can, or somebody else has it."""
        try:
            await self._locks.inspect(PROBE)  # a server that refuses the login leaves nothing to withdraw
            lease = await self._locks.lock(PROBE, lease_s=PROBE_LEASE_S, renew=False).acquire(blocking=False)
            if lease is not None:
                await lease.release()
        except LockError as error:  # it cannot be reached, or it refuses us; both may be mended while we run
            return error
        return None

    def _back(self) -> None:
        if self._away_since_s is None:
            return
        self._back_s = time.monotonic()
        away_s, self._away_since_s = self._back_s - self._away_since_s, None
        refused, self._refused = self._refused, 0
        log.warning("the lock server of %s is back after %.1f s; it failed %d times", self._name, away_s, refused)
