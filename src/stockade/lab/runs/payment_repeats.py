"""The steps of a repeat in which buyers pay through a gateway, with and without faults.

The taps, those of the buyers who come again, the reconciler (its hour later is not timed), then the gateway's count
beside the shop's records. Neighbours: `runner.py` and `fault_runner.py` run them, `checks/payments.py` judges.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from sqlalchemy import Connection, select

from stockade.core import Guarantees
from stockade.lab.checks.payments import check
from stockade.lab.execution.order_senders import OrderSender, SendResult
from stockade.lab.model.burst import Burst
from stockade.lab.model.contender import Contender
from stockade.lab.model.payment import PaymentConfig, PaymentFigures, PaymentMeter, PaymentSetup
from stockade.lab.model.preset import Variant
from stockade.lab.model.repeat_result import FAILED, REJECTED, Response
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.targets.gateway_server import GatewayServer
from stockade.lab.targets.target_database import TargetDatabase
from stockade.shop.commands import ClaimPayment
from stockade.shop.model import constants
from stockade.shop.model.payment_reference import MAX_ATTEMPTS, reference_of
from stockade.shop.model.tables import orders, payment_attempts, payments


class CanReconcile(Protocol):
    """An order sender, or the processes of a fault."""

    async def reconcile(self) -> None: ...


class PaymentRepeats:
    """Runs the repeats of one contender on one variant.

    Args:
        setup: of the variant.
        gateway: counts.
        target: the database.
    """

    def __init__(self, setup: PaymentSetup, gateway: GatewayServer, target: TargetDatabase) -> None:
        self._setup, self._gateway, self._target = setup, gateway, target

    async def begin(self) -> None:
        """Let the gateway behave as the variant wants."""
        setup = self._setup
        await self._gateway.behave(latency_s=setup.latency_s, lost_replies=setup.lost_replies)

    async def send(self, sender: OrderSender, workload: Burst) -> SendResult:
        """All taps, then those of the buyers who come again, at a gateway that loses nothing any more."""
        await self.begin()
        first = await sender.send(workload.orders)
        if not workload.again:
            return first
        await self._gateway.behave(latency_s=self._setup.latency_s, lost_replies=False)
        second = await sender.send(workload.again)
        meter = first.meter or PaymentMeter()
        if second.meter is not None:  # one after the other: the more of both, not their sum
            meter = PaymentMeter(max(meter.held, second.meter.held), meter.waits_s + second.meter.waits_s)
        first.stats.add(second.stats)
        return SendResult([*first.responses, *second.responses], first.stats, meter)

    async def reconcile(self, sender: CanReconcile) -> None:
        """Finish what was left open, at a gateway that loses nothing any more."""
        await self._gateway.behave(latency_s=0.0, lost_replies=False)
        await sender.reconcile()

    async def check(
        self, workload: Burst, responses: Sequence[Response], meter: PaymentMeter, *, timed: bool
    ) -> CheckedRepeat:
        """Compare the gateway's count with what the shop has recorded."""
        ids = sorted({each.subject_id for each in workload.orders if isinstance(each, ClaimPayment)})
        count = await self._gateway.count()
        approvals = {}
        for id_ in ids:
            references = [reference_of(id_, number + 1) for number in range(MAX_ATTEMPTS)]
            charged = sum(len(count.approved.get(each, ())) for each in references)
            approvals[id_] = charged - sum(len(count.refunded.get(each, ())) for each in references)
        read = self._target.admin_database.read
        recorded = await read(lambda connection: _recorded(connection, ids))
        unpaid = await read(lambda connection: _unpaid(connection, ids))
        began_ns = min(response.began_ns for response in responses)
        wall_s = (max(response.ended_ns for response in responses) - began_ns) / 1e9
        figures = PaymentFigures(len(ids), approvals, recorded, meter.held, tuple(meter.waits_s), wall_s, unpaid)
        statuses = Counter(response.status for response in responses)
        return CheckedRepeat(
            accepted=figures.paid,
            rejected=statuses[REJECTED],
            failed=statuses[FAILED],
            left=0,
            expected_accepted=len(ids),
            violations=tuple(check(figures, self._setup, responses)),
            wall_ms=wall_s * 1e3,
            latencies_ms=tuple((each.ended_ns - each.began_ns) / 1e6 for each in responses),
            timed=timed,
            payments=figures,
        )


def config_of(variant: Variant, contender: Contender, gateway: GatewayServer | None) -> PaymentConfig | None:
    """How the processes pay; None: they do not."""
    if variant.payment is None:
        return None
    assert gateway is not None, "the run has a variant that pays, so it has a gateway"
    return PaymentConfig(gateway.url, contender.scheme)


def guarantees_of(variant: Variant, contender: Contender, fault: str = "") -> Guarantees:
    """What a contender promises on this variant: of a scheme, what the variant says."""
    if variant.payment is None or not contender.scheme:
        return contender.guarantees
    breaks = contender.scheme in variant.payment.must_break[fault]
    return replace(contender.guarantees, may_oversell=breaks)


def must_fail(variant: Variant, contender: Contender, under_fault: bool = True) -> bool:
    """Whether a contender without protection must be seen to fail: where buyers pay, the schemes are the controls.

    Args:
        variant: that runs.
        contender: that may have no protection.
        under_fault: whether the fault shows what has none; True without a fault.
    """
    return variant.must_fail_unprotected and under_fault if variant.payment is None else bool(contender.scheme)


def _recorded(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    paid = (
        select(payments.c.order_id)
        .join_from(payments, orders, orders.c.id == payments.c.order_id)
        .where(
            payments.c.order_id.in_(ids),
            payments.c.status == constants.APPROVED,
            orders.c.status == constants.PAID,
        )
    )
    return dict(Counter(row.order_id for row in connection.execute(paid)))


def _unpaid(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """What became of the orders that are not paid: the state of each, and who or what ended its last attempt."""
    last = (
        select(orders.c.id, orders.c.status, payment_attempts.c.status.label("attempt"), payment_attempts.c.code)
        .join_from(orders, payment_attempts, payment_attempts.c.subject_id == orders.c.id, isouter=True)
        .where(orders.c.id.in_(ids), orders.c.status != constants.PAID)
        .order_by(orders.c.id, payment_attempts.c.reference)
    )
    found = {
        row.id: f"{row.status}, attempt {row.attempt or 'none'} {row.code or ''}" for row in connection.execute(last)
    }
    return dict(Counter(each.strip() for each in found.values()))
