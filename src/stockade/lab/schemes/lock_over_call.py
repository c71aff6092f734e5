"""A row lock that is held while the gateway is asked: the second scheme of the Java project's report.

It needs no key at the gateway. The transaction, and with it a connection of the pool, lasts as long as the gateway
takes; if its process or the reply is lost, the order is unpaid again, and nothing says that the gateway was asked.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

from sqlalchemy import Connection
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from stockade.core import Accepted, Outcome
from stockade.lab.schemes.scheme import Scheme, definite, read_order, record_paid, refusal
from stockade.shop.commands import ClaimPayment

T = TypeVar("T")


class LockOverCall(Scheme):
    """Lock the order, check that it is unpaid, ask, write, commit."""

    name: ClassVar[str] = "lock-over-call"
    strategy: ClassVar[str] = "pessimistic"

    async def pay(self, claim: ClaimPayment) -> Outcome:
        """See `Scheme.pay`."""
        loop = asyncio.get_running_loop()

        def body(connection: Connection) -> Outcome:
            order = read_order(connection, claim.subject_id, lock=True)
            if (refused := refusal(order, claim)) is not None:
                return refused
            outcome = definite(wait_for(self._ask(claim, keyed=False), loop), claim)
            if isinstance(outcome, Accepted):
                record_paid(connection, claim, order.version)
            return outcome

        return await self._write(body)


def wait_for(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Wait inside a transaction: in the greenlet of an asynchronous driver, or in the thread of SQLite's writer.

    Args:
        work: what is waited for.
        loop: that runs it.
    """
    if in_greenlet():
        return await_only(work)
    return asyncio.run_coroutine_threadsafe(work, loop).result()  # the gateway's own limit bounds it
