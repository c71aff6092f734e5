"""Optimistic control and an idempotency key at the gateway: the first scheme of the Java project's report.

Read the order and its version, ask, write if the version is still the same. The key makes the gateway charge once for
all who read "unpaid". Nothing says that the gateway was asked: who asked and got no reply must come again.
"""

from functools import partial
from typing import ClassVar

from stockade.core import Conflict, Outcome, Rejected
from stockade.lab.schemes.scheme import Scheme, definite, read_order, record_paid, refusal
from stockade.shop.commands import ClaimPayment

TRIES = 3  # as many as the report's annotation makes


class VersionWithKey(Scheme):
    """Read, ask with the order's key, write if the version is unchanged; after a conflict again from the start."""

    name: ClassVar[str] = "version-with-key"
    strategy: ClassVar[str] = "optimistic"
    keyed: ClassVar[bool] = True

    async def pay(self, claim: ClaimPayment) -> Outcome:
        """See `Scheme.pay`."""
        for _ in range(TRIES):
            order = await self._database.read(partial(read_order, order_id=claim.subject_id))
            if (refused := refusal(order, claim)) is not None:
                return refused
            outcome = definite(await self._ask(claim, keyed=self.keyed), claim)
            if isinstance(outcome, Rejected):
                return outcome
            if await self._write(partial(record_paid, claim=claim, version=order.version)):
                return outcome
        raise Conflict(f"order {claim.subject_id} changed {TRIES} times while the gateway was asked")
