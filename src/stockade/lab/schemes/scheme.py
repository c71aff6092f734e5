"""What a scheme is, and the rows that all of them read and write."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, TypeVar

from sqlalchemy import Connection, insert, select, update

from stockade.core import Accepted, Busy, Conflict, Outcome, Rejected, Unknown
from stockade.drivers.failures import Failure, classify, describe
from stockade.gateways import Approval, Approved, Declined, Gateway, Money
from stockade.gateways.gateway import ApprovalAnswer
from stockade.shop.commands import ClaimPayment
from stockade.shop.model import constants
from stockade.shop.model.payment_reference import reference_of
from stockade.shop.model.tables import order_lines, orders, payments, skus
from stockade.store import Database

T = TypeVar("T")


class OrderRow(NamedTuple):
    """What a scheme reads of an order."""

    status: str
    total: int
    version: int


class Scheme(ABC):
    """One way to pay an order through a gateway.

    Args:
        database: with the shop's tables.
        gateway: who approves.
        wait_s: the longest wait for a connection and a row lock together, in seconds.

    Attributes:
        name: in options and reports.
        strategy: the strategy whose way of waiting it has.
    """

    name: ClassVar[str]
    strategy: ClassVar[str]

    def __init__(self, database: Database, gateway: Gateway, wait_s: float) -> None:
        self._database, self._gateway, self._wait_s = database, gateway, wait_s

    @abstractmethod
    async def pay(self, claim: ClaimPayment) -> Outcome:
        """Pay an order.

        Raises:
            Busy: a connection or a row lock did not come in time; the gateway may have been asked.
            Conflict: another request changed the order.
            Unknown: the gateway gave no definite answer.
        """

    async def _ask(self, claim: ClaimPayment, *, keyed: bool) -> ApprovalAnswer:
        """Ask the gateway. The key, if there is one, is that of the order: the same for all its requests."""
        reference = reference_of(claim.subject_id, 1)
        money = Money(claim.amount, claim.currency)
        return await self._gateway.approve(Approval(reference, reference if keyed else "", claim.payment_key, money))

    async def _write(self, body: Callable[[Connection], T]) -> T:
        """One transaction; errors of the database that are no fault of the caller are those of the store.

        Raises:
            Busy, Conflict: see `pay`.
        """
        try:
            return await self._database.transaction(body, deadline=time.monotonic() + self._wait_s)
        except Exception as error:
            match classify(error):
                case Failure.TIMEOUT:
                    raise Busy(describe(error)) from error
                case Failure.CONFLICT | Failure.DEADLOCK | Failure.DUPLICATE:
                    raise Conflict(describe(error)) from error
            raise


def read_order(connection: Connection, order_id: str, *, lock: bool = False) -> OrderRow:
    """The order, under a row lock if asked for; SQLite has one writer instead."""
    query = select(orders.c.status, orders.c.total, orders.c.version).where(orders.c.id == order_id)
    return OrderRow._make(connection.execute(query.with_for_update() if lock else query).one())


def refusal(order: OrderRow, claim: ClaimPayment) -> Rejected | None:
    """Why an order is not to be paid; None: it is."""
    data = {"order_id": claim.subject_id}
    if order.status == constants.PAID:
        return Rejected(constants.ALREADY_PAID, data)
    if order.status != constants.RESERVED:
        return Rejected(constants.STATE_CONFLICT, data)
    return Rejected(constants.AMOUNT_MISMATCH, data) if order.total != claim.amount else None


def definite(answer: ApprovalAnswer, claim: ClaimPayment) -> Outcome:
    """The outcome that an answer of the gateway means.

    Raises:
        Unknown: it is not definite. The reports' code sees an exception here, and so does its buyer.
    """
    if isinstance(answer, Declined):
        return Rejected(constants.DECLINED, {"order_id": claim.subject_id})
    if not isinstance(answer, Approved):
        raise Unknown(f"the gateway did not say what became of it: {answer}")
    return Accepted({"order_id": claim.subject_id, "status": constants.PAID})


def record_paid(connection: Connection, claim: ClaimPayment, version: int) -> bool:
    """Write that an order is paid, if it still has this version; whether it had."""
    paid = (
        update(orders)
        .where(orders.c.id == claim.subject_id, orders.c.version == version)
        .values(
            status=constants.PAID,
            payment_id=claim.payment_id,
            reserved_until_ms=0,
            version=version + 1,
            stamp=claim.now_ms,
        )
    )
    if connection.execute(paid).rowcount != 1:
        return False
    payment = {
        "id": claim.payment_id,
        "order_id": claim.subject_id,
        "user_id": claim.user_id,
        "status": constants.APPROVED,
        "method": constants.PG,
        "amount": claim.amount,
        "created_ms": claim.now_ms,
        "version": 1,
        "stamp": claim.now_ms,
    }
    connection.execute(insert(payments).values(payment))
    lines = select(order_lines.c.sku_id, order_lines.c.quantity).where(order_lines.c.order_id == claim.subject_id)
    for sku_id, quantity in connection.execute(lines.order_by(order_lines.c.sku_id)).all():
        taken = {"on_hand": skus.c.on_hand - quantity, "reserved": skus.c.reserved - quantity}
        connection.execute(update(skus).where(skus.c.id == sku_id).values(**taken, version=skus.c.version + 1))
    return True
