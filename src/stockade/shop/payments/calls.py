"""What every step of a payment or refund needs: bounded calls to the gateway, and answers recorded persistently.

Neighbours: `flow` has payments approved, `refund_flow` refunds carried out; both work through this.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from stockade import gateways
from stockade.core import Accepted, Command, Outcome, Pending, StockadeError, Unknown
from stockade.core.clock import now_ms
from stockade.gateways import Gateway
from stockade.shop.commands import Postpone
from stockade.shop.model import constants

log = logging.getLogger(__name__)
T = TypeVar("T")
RECORDINGS: Final = 5  # how often one answer is recorded before that is left to the reconciler
FIRST_PAUSE_S: Final = 0.05  # before it is recorded again; each pause is twice the one before
MARGIN_MS: Final = 10_000  # between the end of the longest call and the reconciler
NEEDS_DECISION: Final = "NEEDS_DECISION"


class Read(Protocol):
    """`Shop.read`."""

    def __call__(self, query: Callable[[Connection], T], /) -> Awaitable[T]: ...


def lease_ms(call_s: float) -> int:
    """For how long a claim keeps others from asking, in milliseconds, if a call takes `call_s` seconds at most."""
    return int(call_s * 1_000) + MARGIN_MS


class Calls:
    """One gateway and one shop.

    Args:
        gateway: who approves.
        execute: carries out a command, `Shop.execute`.
        read: runs a query, `Shop.read`.
        call_s: the longest that one call to the gateway takes, in seconds.
        clock_ms: wall clock in milliseconds since 1970.
        checkpoint: called with the name of each fault point; tests aim kills with it.
    """

    def __init__(
        self,
        gateway: Gateway,
        execute: Callable[[Command], Awaitable[Outcome]],
        read: Read,
        call_s: float,
        *,
        clock_ms: Callable[[], int] = now_ms,
        checkpoint: Callable[[str], None] | None = None,
    ) -> None:
        self.gateway, self.execute, self.read, self.clock_ms = gateway, execute, read, clock_ms
        self._call_s, self._checkpoint = call_s, checkpoint

    @property
    def call_ms(self) -> int:
        """The longest call, in milliseconds."""
        return int(self._call_s * 1_000)

    @property
    def lease_ms(self) -> int:
        """For how long a claim keeps others from asking, in milliseconds: longer than a call."""
        return lease_ms(self._call_s)

    def may_ask(self, until_ms: int) -> bool:
        """Whether a call that begins now ends before `until_ms`, when another process may begin one."""
        return self.clock_ms() + self.call_ms <= until_ms

    def reach(self, point: str) -> None:
        """Pass a fault point."""
        if self._checkpoint is not None:
            self._checkpoint(point)

    async def bounded(self, call: Awaitable[T], about: str) -> T | gateways.Unknown:
        """The answer to a call; no answer if it takes too long, or if the adapter is broken.

        Args:
            call: of the gateway.
            about: what it is for, for the log.
        """
        try:
            async with asyncio.timeout(self._call_s):
                answer = await call
        except TimeoutError:
            return gateways.Unknown("no reply in time")
        except Exception as error:
            log.exception("%s: the gateway %s failed", about, self.gateway.name)
            return gateways.Unknown(f"{type(error).__name__}")

        if isinstance(answer, gateways.NotAsked) and answer.key_refused:
            log.error(
                "the gateway %s refuses the merchant's key, so nothing can be paid: correct gateway_secret or "
                "gateway_secret_file (%s: %s)",
                self.gateway.name,
                about,
                answer.reason,
            )
        return answer

    async def persist(self, command: Command) -> Outcome:
        """Record an answer, several times if need be.

        Raises:
            Pending: it is in the log, and will be decided.
            Unknown: it could not be recorded; the reconciler finds it out again.
            IdempotencyKeyReused: as `Shop.execute`.
        """
        failed: StockadeError | None = None
        for number in range(RECORDINGS):
            if failed is not None:
                await asyncio.sleep(FIRST_PAUSE_S * 2 ** (number - 1))
            try:
                return await self.execute(command)
            except Pending:
                raise
            except StockadeError as error:
                if not error.retryable:
                    raise
                log.warning("%s: the answer of the gateway is not recorded yet: %r", command.name, error)
                failed = error
        raise Unknown("the answer of the gateway could not be recorded; it will be found out again") from failed

    async def leave_to_a_person(self, kind: str, id_: str, tries: int) -> bool:
        """Let no reconciler act on an attempt or refund any more; False: another process acts on it.

        Args:
            kind: `attempt` or `refund`.
            id_: of the row.
            tries: as it was read.
        """
        command = Postpone.at(
            kind, id_, tries, now_ms=self.clock_ms(), resolve_at_ms=constants.NEVER, code=NEEDS_DECISION
        )
        outcome = await self.execute(command)
        if done := isinstance(outcome, Accepted) and not outcome.replayed:
            log.error("%s %s needs the decision of a person: stockade payments list --unresolved", kind, id_)
        return done
