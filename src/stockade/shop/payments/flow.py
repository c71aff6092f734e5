"""One payment or refund through a gateway: claim it, commit, ask, record the answer.

The claim says who may ask. What is asked carries a reference and a key that are the same over retries, processes and
restarts. If the process ends at any point, the claim is found by the reconciler, which asks or looks up under the same
names. Neighbours: HTTP calls `execute`; `reconciler` and `notifications` record answers here too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection

from stockade.core import Accepted, Command, JsonValue, Outcome, Rejected, StockadeError, Unknown
from stockade.core.clock import now_ms
from stockade.gateways import (
    Approval,
    Approved,
    Declined,
    Gateway,
    Money,
    Refund,
    Refunded,
)
from stockade.gateways import Unknown as NoAnswer
from stockade.gateways.gateway import ApprovalAnswer, RefundAnswer
from stockade.shop.commands import CancelLines, CancelOrder, ClaimPayment, Postpone, SettlePayment, SettleRefund
from stockade.shop.commands.settle_payment import late_id
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState
from stockade.shop.payments.next_step import pause_ms
from stockade.shop.queries.open_payments import OpenRefund, attempt, refund

log = logging.getLogger(__name__)
T = TypeVar("T")
RECORDINGS: Final = 5  # how often one answer is recorded before that is left to the reconciler
MARGIN_MS: Final = 10_000  # between the end of the longest call and the reconciler


class Read(Protocol):
    """`Shop.read`."""

    def __call__(self, query: Callable[[Connection], T], /) -> Awaitable[T]: ...


class Payments:
    """Asks one gateway, and records its answers.

    Args:
        gateway: who approves.
        execute: carries out a command, `Shop.execute`.
        read: runs a query, `Shop.read`.
        call_s: the longest that one call to the gateway takes, in seconds.
    """

    def __init__(
        self, gateway: Gateway, execute: Callable[[Command], Awaitable[Outcome]], read: Read, call_s: float
    ) -> None:
        self.gateway = gateway
        self._execute, self._read = execute, read
        self._call_ms = int(call_s * 1_000)
        self._at_work: set[asyncio.Task[Any]] = set()

    @property
    def lease_ms(self) -> int:
        """For how long a claim keeps others from asking, in milliseconds: longer than a call."""
        return self._call_ms + MARGIN_MS

    @property
    def in_flight(self) -> int:
        """Payments and refunds for which the gateway is being asked by this process."""
        return len(self._at_work)

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, and ask the gateway for what it asks.

        Raises:
            StockadeError: as `Strategy.execute`; `Unknown` when the gateway's answer could not be recorded.
        """
        if isinstance(command, ClaimPayment):
            return await self._pay(command)
        outcome = await self._execute(command)
        if isinstance(command, CancelOrder | CancelLines) and isinstance(outcome, Accepted):
            return await self._with_refunds(outcome)
        return outcome

    async def close(self, wait_s: float) -> None:
        """Wait for the calls that are under way; what is longer at work is left to the reconciler of another process.

        Args:
            wait_s: the longest wait, in seconds.
        """
        if self._at_work:
            _, late = await asyncio.wait(self._at_work, timeout=wait_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.gateway.close()

    async def record(self, payment_id: str, found: AttemptState, answer: Approved | Declined) -> Outcome:
        """Record a definite answer about an attempt; the first one counts.

        Args:
            payment_id: of the attempt.
            found: the attempt as it was read.
            answer: of the gateway.

        Raises:
            Unknown: the database did not take it; the reconciler will.
        """
        approved = isinstance(answer, Approved)
        late = approved and found.status == constants.DECLINED
        settle = SettlePayment(
            late_id(payment_id) if late else payment_id,
            payment_id if late else found.fingerprint,
            now_ms(),
            payment_id,
            approved,
            answer.gateway_id if isinstance(answer, Approved) else "",
            answer.money.amount if isinstance(answer, Approved) else 0,
            answer.money.currency if isinstance(answer, Approved) else found.currency,
            answer.code if isinstance(answer, Declined) else "",
        )
        outcome = await self._persist(settle)
        if isinstance(outcome, Accepted) and outcome.data.get("status") == constants.UNFULFILLABLE:
            log.warning("payment %s was approved and cannot be fulfilled: it is refunded", payment_id)
            self._start(self.refund(str(outcome.data["refund_id"])))
        return outcome

    async def ask(self, payment_id: str, found: AttemptState) -> ApprovalAnswer:
        """Ask the gateway to approve an attempt; again under the same reference and key."""
        approval = Approval(
            found.reference,
            found.reference,
            found.payment_key,
            Money(found.amount, found.currency),
            f"{found.subject} {found.subject_id}",
        )
        try:
            return await self.gateway.approve(approval)
        except Exception as error:
            log.exception("payment %s: the gateway %s failed", payment_id, self.gateway.name)
            return NoAnswer(f"{type(error).__name__}")

    async def refund(self, refund_id: str) -> Accepted:
        """Have one refund carried out, if no other process is at it.

        Returns:
            The refund as it is then.

        Raises:
            StockadeError: as `Strategy.execute`.
        """
        found = await self._read(lambda connection: refund(connection, refund_id))
        if found is None:
            raise ValueError(f"there is no refund {refund_id}")
        if found.state.status in (constants.READY, constants.UNKNOWN) and await self.claim_refund(found):
            answer = await self._ask_refund(found)
            outcome = await self.record_refund(found, answer)
            if outcome is not None:
                return outcome
            return _refund_data(found, constants.UNKNOWN)
        return _refund_data(found, found.state.status)

    async def claim_refund(self, found: OpenRefund) -> bool:
        """Whether this process may act on a refund until the next try is due."""
        until_ms = now_ms() + self.lease_ms + pause_ms(found.state.tries)
        command = Postpone.at(
            "refund", found.id, found.state.tries, now_ms=now_ms(), resolve_at_ms=until_ms, code="asking"
        )
        outcome = await self._execute(command)
        return isinstance(outcome, Accepted) and not outcome.replayed

    async def record_refund(self, found: OpenRefund, answer: RefundAnswer) -> Accepted | None:
        """Record an answer about a refund; None: there was no definite one."""
        if isinstance(answer, NoAnswer):
            log.warning("refund %s: no answer of %s: %s", found.id, found.attempt.gateway, answer.reason)
            return None
        refunded = isinstance(answer, Refunded)
        if not refunded:
            log.error("refund %s was refused by %s: %s", found.id, found.attempt.gateway, answer)
        settle = SettleRefund.of(
            found.id,
            now_ms=now_ms(),
            refunded=refunded,
            gateway_id=answer.gateway_id if isinstance(answer, Refunded) else "",
            code=answer.code if isinstance(answer, Declined) else "",
        )
        outcome = await self._persist(settle)
        return outcome if isinstance(outcome, Accepted) else None

    async def _ask_refund(self, found: OpenRefund) -> RefundAnswer:
        asked = Refund(
            found.attempt.gateway_id,
            found.id,
            found.id,
            Money(found.state.amount, found.state.currency),
            found.state.reason,
        )
        try:
            return await self.gateway.refund(asked)
        except Exception as error:
            log.exception("refund %s: the gateway %s failed", found.id, self.gateway.name)
            return NoAnswer(f"{type(error).__name__}")

    async def _pay(self, claim: ClaimPayment) -> Outcome:
        claimed = await self._execute(claim)
        if isinstance(claimed, Rejected):
            return claimed
        if claimed.replayed:  # this request was here before: nobody is asked again
            return await self._as_it_is(claim)
        # the buyer's connection may end: what was claimed is carried on
        return await asyncio.shield(self._start(self._approve(claim)))

    async def _approve(self, claim: ClaimPayment) -> Outcome:
        found = await self._read(lambda connection: attempt(connection, claim.payment_id))
        assert found is not None  # the claim is committed
        if now_ms() + self._call_ms > claim.resolve_at_ms:  # too late: a reconciler may be asking at the same time
            return _open(claim, constants.APPROVING)
        answer = await self.ask(claim.payment_id, found.state)
        if not isinstance(answer, NoAnswer):
            return await self.record(claim.payment_id, found.state, answer)
        log.warning("payment %s: no answer of %s: %s", claim.payment_id, claim.gateway, answer.reason)
        at_ms = now_ms()
        await self._persist(
            Postpone.at(
                "attempt",
                claim.payment_id,
                0,
                now_ms=at_ms,
                resolve_at_ms=at_ms + pause_ms(0),
                code=answer.reason,
            )
        )
        return _open(claim, constants.UNKNOWN)

    async def _as_it_is(self, claim: ClaimPayment) -> Outcome:
        """The answer to a repeated request: what was recorded, or the present state."""
        found = await self._read(lambda connection: attempt(connection, claim.payment_id))
        assert found is not None
        state = found.state
        if state.status in (constants.APPROVING, constants.UNKNOWN):
            return _open(claim, state.status)._replace(replayed=True)
        # its outcome was recorded under the payment's id with the request's fingerprint: this replays it
        answer: Approved | Declined = Declined(state.code)
        if state.charged:
            answer = Approved(state.gateway_id, Money(state.charged, state.currency))
        return await self.record(claim.payment_id, state._replace(status=constants.UNKNOWN), answer)

    async def _with_refunds(self, outcome: Accepted) -> Outcome:
        """The outcome of a cancellation, with the refunds as they are after the gateway was asked."""
        refunds: list[JsonValue] = []
        for each in outcome.data["refunds"]:  # type: ignore[union-attr]  # a list
            assert isinstance(each, dict)
            if "refund_id" in each:
                done = await asyncio.shield(self._start(self.refund(str(each["refund_id"]))))
                refunds.append({**each, "status": done.data["status"]})
            else:
                refunds.append(each)
        return outcome._replace(data={**outcome.data, "refunds": refunds})

    async def _persist(self, command: Command) -> Outcome:
        """Record an answer, several times if need be.

        Raises:
            Unknown: it could not be recorded; the reconciler finds it out again.
        """
        for number in range(RECORDINGS):
            try:
                return await self._execute(command)
            except StockadeError as error:
                log.warning("%s: the answer of the gateway is not recorded yet: %r", command.name, error)
                await asyncio.sleep(0.05 * 2**number)
        raise Unknown("the answer of the gateway could not be recorded; it will be found out again")

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._at_work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a payment is left to the reconciler: %r", error)


def _open(claim: ClaimPayment, status: str) -> Accepted:
    """The answer while it is not known whether the buyer was charged."""
    data: dict[str, JsonValue] = {
        "payment_id": claim.payment_id,
        f"{claim.subject}_id": claim.subject_id,
        "status": status,
        "amount": claim.amount,
        "currency": claim.currency,
    }
    return Accepted(data)


def _refund_data(found: OpenRefund, status: str) -> Accepted:
    return Accepted({"refund_id": found.id, "payment_id": found.state.payment_id, "status": status})
