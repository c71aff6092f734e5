"""Pays in one process: as the shop does, or by a scheme of the reports, and measures both in the same way.

A connection counts as held when the gateway is asked inside a transaction of the store; the store itself says whether
a task is inside one. Neighbours: `order_senders.py` sends the buyers' requests here, `schemes/` has the controls.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from stockade.core import Command, Outcome
from stockade.core.clock import now_ms
from stockade.core.open_transaction import in_transaction
from stockade.gateways import Approval, Approved, Gateway, Refund
from stockade.gateways.gateway import ApprovalAnswer, Capabilities, LookUpAnswer, Notification, RefundAnswer
from stockade.gateways.http_client import Limits
from stockade.gateways.registry import GatewayKeys, create
from stockade.lab.errors import LabError
from stockade.lab.execution.metered_database import MeteredDatabase
from stockade.lab.model.payment import PaymentConfig, PaymentMeter
from stockade.lab.schemes import SCHEMES
from stockade.service import Service
from stockade.shop.commands import ClaimPayment
from stockade.shop.payments import Payments, Reconciler

GATEWAY = "toss"
CALL_S = 30.0  # the longest that one call to the gateway takes
CONNECTIONS = 1_000  # to the gateway: what waits for one of these would not be asked at the same moment
ASKED = "asked"  # fault point: the gateway has approved, and nothing is recorded yet
# The reconciler's clock is so far ahead of ours in its first round, and twice as far in each further one: longer than a
# claim keeps it away, and each pause ends before the next round. An hour at once would be wrong: a claim whose process
# did not live to ask for it is given up 45 minutes after it was made.
LATER_MS = 60_000
MAX_ROUNDS = 10  # hours


class MeteredGateway:
    """A gateway that counts who asks it inside an open transaction; see `Gateway`."""

    def __init__(self, gateway: Gateway, checkpoint: Callable[[str], None] | None) -> None:
        self._gateway, self._checkpoint = gateway, checkpoint
        self._held = self.most_held = 0

    @property
    def name(self) -> str:
        return self._gateway.name

    @property
    def capabilities(self) -> Capabilities:
        return self._gateway.capabilities

    async def approve(self, approval: Approval) -> ApprovalAnswer:
        """See `Gateway.approve`."""
        holds = in_transaction.get()
        self._held += holds
        self.most_held = max(self.most_held, self._held)
        try:
            answer = await self._gateway.approve(approval)
        finally:
            self._held -= holds
        if self._checkpoint is not None and isinstance(answer, Approved):
            self._checkpoint(ASKED)
        return answer

    async def look_up(self, reference: str, gateway_id: str = "", payment_key: str = "") -> LookUpAnswer:
        """See `Gateway.look_up`."""
        return await self._gateway.look_up(reference, gateway_id, payment_key)

    async def refund(self, refund: Refund) -> RefundAnswer:
        """See `Gateway.refund`."""
        return await self._gateway.refund(refund)

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """See `Gateway.read_notification`."""
        return self._gateway.read_notification(headers, body)

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._gateway.close()


class Payer:
    """Pays what claims ask for.

    Args:
        service: of the shop, over a `MeteredDatabase`.
        gateway: who approves.
        scheme: a name of `SCHEMES`; empty: as the shop pays.
        wait_s: the longest wait of a scheme for a connection and a lock together, in seconds.
    """

    def __init__(self, service: Service, gateway: MeteredGateway, scheme: str, wait_s: float) -> None:
        assert isinstance(service.database, MeteredDatabase)
        self._service, self._gateway, self._database = service, gateway, service.database
        self._ahead_ms = 0
        self._payments = Payments(gateway, service.execute, service.read, CALL_S, clock_ms=self._clock_ms)
        self._scheme = SCHEMES[scheme](service.database, gateway, wait_s) if scheme else None

    async def execute(self, command: Command) -> Outcome:
        """Pay; errors as of `Payments.execute` and `Scheme.pay`."""
        assert isinstance(command, ClaimPayment)
        if self._scheme is not None:
            return await self._scheme.pay(command)
        at_ms = self._clock_ms()  # the workload was made before anything was timed
        timed = replace(command, now_ms=at_ms, resolve_at_ms=at_ms + self._payments.lease_ms)
        return await self._payments.execute(timed)

    async def reconcile(self) -> None:
        """What the shop's reconciler does in the hours after: nobody comes back for it. The schemes have none.

        Raises:
            LabError: it does not end.
        """
        if self._scheme is not None:
            return
        reconciler = Reconciler(self._payments)
        for number in range(1, MAX_ROUNDS + 1):
            self._ahead_ms = LATER_MS << (number - 1)
            if not (await reconciler.once())["found"]:
                self._ahead_ms = 0
                return
        raise LabError(f"the reconciler still finds open payments after {MAX_ROUNDS} rounds")

    def take_meter(self) -> PaymentMeter:
        """What was measured since the last time."""
        meter = PaymentMeter(self._gateway.most_held, self._database.waits_s)
        self._gateway.most_held, self._database.waits_s = 0, []
        return meter

    def _clock_ms(self) -> int:
        return now_ms() + self._ahead_ms

    async def close(self) -> None:
        """Wait for what is under way, and close the connections to the gateway."""
        await self._payments.close(CALL_S)


@asynccontextmanager
async def open_payer(
    service: Service, config: PaymentConfig, wait_s: float, checkpoint: Callable[[str], None] | None
) -> AsyncIterator[Payer]:
    """A payer over a service.

    Args:
        service: over a `MeteredDatabase`.
        config: the gateway and the scheme.
        wait_s: see `Payer`.
        checkpoint: called at `ASKED`.
    """
    limits = Limits(connections=CONNECTIONS, reply_s=CALL_S, call_s=CALL_S)
    gateway = create(GATEWAY, GatewayKeys("test_sk_lab", url=config.gateway_url, limits=limits))
    payer = Payer(service, MeteredGateway(gateway, checkpoint), config.scheme, wait_s)
    log = logging.getLogger("stockade.shop.payments")
    level = log.level
    log.setLevel(logging.CRITICAL)  # what goes wrong is intended here, and the table reports it
    try:
        yield payer
    finally:
        await payer.close()
        log.setLevel(level)
