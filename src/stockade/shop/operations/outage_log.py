"""Logs an outage of the database once when it begins and once when it ends, not once for each refused order.

Neighbour: `Shop` reports every outcome here. `strategies.lock_server_monitor` logs outages of the lock servers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from stockade.core import StockadeError
from stockade.locks import LockError
from stockade.shop.operations.logs import logger

QUIET_S = 1.0  # without a refusal before an outage counts as ended: a database that flaps fills no log


@dataclass(slots=True)
class _Outage:
    began_s: float
    last_s: float
    refused: int = 1


class OutageLog:
    """Outages that have not ended, by operation: one right that is missing refuses one kind of command only.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: dict[str, _Outage] = {}

    def failed(self, operation: str, error: StockadeError) -> None:
        """Report an error of an operation; only DEPENDENCY_DOWN is an outage."""
        if error.code != "DEPENDENCY_DOWN" or isinstance(error.__cause__, LockError):
            return
        now_s = self._clock()
        outage = self._outages.get(operation)
        if outage is None:
            self._outages[operation] = _Outage(now_s, now_s)
            logger().warning("refused until the server is back", operation=operation, error=str(error))
        else:
            outage.last_s = now_s
            outage.refused += 1

    def succeeded(self, operation: str) -> None:
        """Report that an operation worked."""
        outage = self._outages.get(operation) if self._outages else None
        if outage is None or self._clock() - outage.last_s < QUIET_S:
            return
        del self._outages[operation]
        seconds = round(outage.last_s - outage.began_s, 1)
        logger().warning("the server is back", operation=operation, refused=outage.refused, outage_s=seconds)
