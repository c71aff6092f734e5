"""Compares what we recorded about payments with what the gateway says, payment by payment. It changes nothing.

Only a look-up is asked of the gateway, a bounded number of them in a second. What is open is left out: the reconciler
is at it. Neighbours: the command line prints the differences; the audit compares our own rows with each other.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select

from stockade.gateways import Approved, Declined, Gateway, Money, NotFound, Unknown
from stockade.gateways.gateway import LookUpAnswer
from stockade.shop.model import constants
from stockade.shop.model.tables import payment_attempts, refunds
from stockade.shop.payments.calls import Read
from stockade.shop.queries.page import after

PAGE: Final = 200  # attempts of one query
AT_ONCE: Final = 8  # look-ups
SETTLED: Final = (constants.APPROVED, constants.CANCELLED, constants.UNFULFILLABLE, constants.DECLINED)
MAX_OWED: Final = 10  # refunds of one payment whose sums are told apart: with each more, there are twice as many
_KEY = (payment_attempts.c.created_ms, payment_attempts.c.id)


class GivenBack(NamedTuple):
    """What was given back of a payment by its refunds: the sum of those that are done, and the amounts owed."""

    done: int = 0
    owed: tuple[int, ...] = ()


class Difference(NamedTuple):
    """A payment about which the gateway says something else than our rows."""

    payment_id: str
    reference: str
    ours: str
    theirs: str


@dataclass(slots=True)
class Compared:
    """What a comparison found.

    Attributes:
        alike: payments about which both say the same.
        unanswered: payments about which the gateway gave no answer.
        not_found_by_reference: payments that this gateway cannot look up, because it never told us its id.
        differences: payments about which it says something else.
        of_other_gateways: settled payments of the window that another gateway was asked for, so this one was not.
    """

    alike: int = 0
    unanswered: int = 0
    not_found_by_reference: int = 0
    differences: list[Difference] = field(default_factory=list)
    of_other_gateways: int = 0

    @property
    def compared(self) -> int:
        """Payments about which the gateway gave an answer."""
        return self.alike + len(self.differences)

    def add(self, row: Any, given_back: GivenBack, answer: LookUpAnswer | None) -> None:
        """Count one payment; the answer is None where the gateway cannot look it up."""
        if answer is None:
            self.not_found_by_reference += 1
        elif isinstance(answer, Unknown):
            self.unanswered += 1
        elif said := difference(row.status, Money(row.charged, row.currency), given_back, answer):
            self.differences.append(Difference(row.id, row.reference, *said))
        else:
            self.alike += 1


async def compare(
    read: Read,
    gateway: Gateway,
    *,
    since_ms: int,
    until_ms: int,
    look_ups_per_s: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Compared:
    """Look up every settled payment that was begun in a window of time.

    Args:
        read: runs a query.
        gateway: whose payments are compared.
        since_ms: the window begins, in milliseconds since 1970.
        until_ms: it ends; that moment is outside.
        look_ups_per_s: at most so many in a second.
        progress: called with how many payments were looked at.

    Raises:
        Busy: the database cannot be read.
    """
    found = Compared(of_other_gateways=await read(partial(_others, gateway.name, since_ms, until_ms)))
    pause_s, began_s, done = 1 / look_ups_per_s, time.monotonic(), 0
    for status in SETTLED:
        last: tuple[int, str] = (since_ms - 1, "")
        while True:  # each page ends behind the one before
            page = partial(_page, gateway=gateway.name, status=status, until_ms=until_ms, last=last)
            rows, given_back = await read(page)
            if not rows:
                break
            for group in _groups(rows):
                answers = await asyncio.gather(*(_ask(gateway, row) for row in group))
                for row, answer in zip(group, answers, strict=True):
                    found.add(row, given_back.get(row.id, GivenBack()), answer)
                done += len(group)
                progress(done)
                await asyncio.sleep(max(0.0, began_s + done * pause_s - time.monotonic()))
            last = rows[-1].created_ms, rows[-1].id
    return found


def _page(
    conn: Connection, *, gateway: str, status: str, until_ms: int, last: tuple[int, str]
) -> tuple[list[Any], dict[str, GivenBack]]:
    """The next attempts of a state, and by id what was given back of them."""
    wanted = (
        select(payment_attempts)
        .where(payment_attempts.c.status == status, payment_attempts.c.gateway == gateway, after(_KEY, last))
        .where(payment_attempts.c.created_ms < until_ms)
        .order_by(*_KEY)
        .limit(PAGE)
    )
    rows = list(conn.execute(wanted).all())
    of = select(refunds.c.payment_id, refunds.c.status, refunds.c.amount).where(
        refunds.c.payment_id.in_([row.id for row in rows])
    )
    found: dict[str, GivenBack] = {}
    for payment_id, state, amount in conn.execute(of) if rows else ():
        done, owed = found.get(payment_id, GivenBack())
        if state == constants.REFUNDED:
            found[payment_id] = GivenBack(done + amount, owed)
        elif state in constants.OPEN_REFUND:
            found[payment_id] = GivenBack(done, (*owed, amount))
    return rows, found


def _others(gateway: str, since_ms: int, until_ms: int, conn: Connection) -> int:
    began = payment_attempts.c.created_ms
    others = select(func.count()).where(payment_attempts.c.gateway != gateway, payment_attempts.c.status.in_(SETTLED))
    return conn.execute(others.where(began >= since_ms, began < until_ms)).scalar_one()


def _groups(rows: list[Any]) -> Iterable[list[Any]]:
    return (rows[at : at + AT_ONCE] for at in range(0, len(rows), AT_ONCE))


async def _ask(gateway: Gateway, row: Any) -> LookUpAnswer | None:
    """The gateway's answer; None: it cannot look this payment up."""
    if not (gateway.capabilities.look_up or row.gateway_id):
        return None
    return await gateway.look_up(row.reference, row.gateway_id, row.payment_key)


def difference(
    status: str, charged: Money, given_back: GivenBack, answer: Approved | Declined | NotFound
) -> tuple[str, str] | None:
    """What we and the gateway say about a settled payment, where that differs.

    Args:
        status: ours.
        charged: ours; nothing, if it was declined.
        given_back: by its refunds: of those that are owed some may be done.
        answer: of the gateway.
    """
    kept = charged.amount - given_back.done
    ours = f"{status}: {charged} charged, {given_back.done:,} given back"
    if not isinstance(answer, Approved):
        theirs = f"declined: {answer.code}" if isinstance(answer, Declined) else "not found"
        return (ours, theirs) if charged.amount else None
    left = answer.money.amount - answer.refunded
    # what was given back by hand before it was recorded is in neither of our figures, so what is left is compared
    if kept - left in _possible(given_back.owed) and (left == 0 or answer.money.currency == charged.currency):
        return None
    return ours, f"{answer.money} charged, {answer.refunded:,} given back"


def _possible(owed: tuple[int, ...]) -> Collection[int]:
    """What refunds that are owed may have given back in sum; of very many, any amount up to all."""
    if len(owed) > MAX_OWED:
        return range(sum(owed) + 1)
    sums = {0}
    for amount in owed:
        sums |= {each + amount for each in sums}
    return sums
