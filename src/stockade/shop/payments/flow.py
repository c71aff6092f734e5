"""One payment through a gateway: claim it, commit, ask, record the answer.

The claim says who may ask. What is asked carries a reference and a key that are the same over retries, processes and
restarts. If the process ends at any point, the claim is found by the reconciler, which asks or looks up under the same
names. Neighbours: HTTP calls `execute`; `reconciler` and `notifications` record answers here too.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from stockade.core import Accepted, Busy, Command, IdempotencyKeyReused, JsonValue, Outcome, Rejected, StockadeError
from stockade.core.clock import now_ms
from stockade.gateways import Approval, Approved, Declined, Gateway, Money, NotAsked, RefundFailed, Unknown
from stockade.gateways.gateway import ApprovalAnswer
from stockade.shop.commands import ClaimPayment, Postpone, SettlePayment
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState
from stockade.shop.payments.calls import Calls, Read
from stockade.shop.payments.next_step import pause_ms
from stockade.shop.payments.open_payments import attempt, recorded_settlement, refunds_of
from stockade.shop.payments.refund_flow import RefundFlow

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_AT_WORK: Final = 10_000  # payments and refunds at once, in one process: their buyers may have gone
NOT_ASKED: Final = "GATEWAY_NOT_ASKED"  # no connection was made, or the gateway refused the merchant's key
SECOND_CHARGE: Final = "SECOND_CHARGE"  # reported by the gateway: see `notifications`
# Label values of the metric `stockade_payments`. Each is there from the start: Prometheus sees no growth in a series
# whose first sample is 1.
ANSWERS: Final = (
    constants.APPROVED,
    constants.DECLINED,
    constants.UNFULFILLABLE,
    constants.UNKNOWN,
    SECOND_CHARGE,
)
GIVEN_BACK: Final = "GIVEN_BACK"  # the gateway approved and refunded all of it before that was recorded


class Payments:
    """Asks one gateway, and records its answers.

    Args:
        gateway: who approves.
        execute: carries out a command, `Shop.execute`.
        read: runs a query, `Shop.read`.
        call_s: the longest that one call to the gateway takes, in seconds.
        clock_ms: wall clock in milliseconds since 1970.
        checkpoint: called with a name at each fault point: `after-claim`, `before-ask`, `after-ask`, `before-record`,
            `after-record`, and the same of a refund with `refund-` before; for tests that aim kills.

    Attributes:
        answers: how often each answer was recorded (APPROVED, DECLINED, UNFULFILLABLE), under UNKNOWN how often the
            gateway gave none, and under SECOND_CHARGE how often it reported one; for the metrics.
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
        self.calls = Calls(gateway, execute, read, call_s, clock_ms=clock_ms, checkpoint=checkpoint)
        self._refunds = RefundFlow(self.calls)
        self.answers: Counter[str] = Counter(dict.fromkeys(ANSWERS, 0))
        self._settled: dict[str, asyncio.Future[None]] = {}  # by payment that is being asked for
        self._at_work: set[asyncio.Task[Any]] = set()

    @property
    def gateway(self) -> Gateway:
        """Who approves."""
        return self.calls.gateway

    @property
    def lease_ms(self) -> int:
        """For how long a claim keeps others from asking, in milliseconds: longer than a call."""
        return self.calls.lease_ms

    @property
    def in_flight(self) -> int:
        """Payments and refunds for which the gateway is being asked by this process."""
        return len(self._at_work)

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, and ask the gateway for what it asks.

        Raises:
            StockadeError: as `Strategy.execute`; `Unknown` when the gateway's answer could not be recorded; `Busy`
                before anything happened, when `MAX_AT_WORK` are at work.
        """
        if isinstance(command, ClaimPayment):
            return await self._pay(command)
        outcome = await self.calls.execute(command)
        if isinstance(outcome, Accepted) and outcome.data.get("refunds"):
            return await self._with_refunds(outcome)
        return outcome

    async def close(self, wait_s: float) -> None:
        """Wait for the calls that are under way; what is longer at work is left to the reconciler of another process.

        Args:
            wait_s: the longest wait, in seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_s
        while self._at_work and loop.time() < end:  # again: a payment may begin a refund
            await asyncio.wait(self._at_work, timeout=end - loop.time())
        late = list(self._at_work)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self.gateway.close()

    async def record(
        self, payment_id: str, found: AttemptState, answer: Approved | Declined, *, sku_ids: tuple[str, ...] = ()
    ) -> Outcome:
        """Record a definite answer about an attempt. The first one counts, except that money taken is never forgotten.

        Args:
            payment_id: of the attempt.
            found: the attempt as it was read.
            answer: of the gateway.
            sku_ids: of the order's lines, if they are known: recording it takes one transaction less.

        Raises:
            Pending, Unknown, IdempotencyKeyReused: see `Calls.persist`.
        """
        answer = _kept_by_the_shop(answer)
        now_ms = self.calls.clock_ms()
        if isinstance(answer, Approved):
            settling = partial(
                SettlePayment.of, payment_id, found, now_ms=now_ms, charged=answer.money, gateway_id=answer.gateway_id
            )
        else:
            settling = partial(SettlePayment.of, payment_id, found, now_ms=now_ms, charged=None, code=answer.code)
        self.calls.reach("before-record")
        outcome = await self.calls.persist(settling(sku_ids=sku_ids))
        if isinstance(answer, Approved) and outcome.data.get("status") == constants.DECLINED:
            log.warning("payment %s was approved after a decline was recorded", payment_id)
            outcome = await self.calls.persist(settling(late=True))
        self.calls.reach("after-record")
        if (waiting := self._settled.get(payment_id)) is not None and not waiting.done():
            waiting.set_result(None)
        if isinstance(outcome, Accepted) and not outcome.replayed:
            self.answers[str(outcome.data["status"])] += 1
        if isinstance(outcome, Accepted) and outcome.data.get("status") == constants.UNFULFILLABLE:
            if not outcome.replayed:
                log.warning("payment %s was approved and cannot be fulfilled: it is refunded", payment_id)
            if not self._is_full():  # else the reconciler begins it
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
        self.calls.reach("before-ask")
        answer = await self.calls.bounded(self.gateway.approve(approval), f"payment {payment_id}")
        if isinstance(answer, Unknown) and not isinstance(answer, NotAsked):
            self.answers[constants.UNKNOWN] += 1
        self.calls.reach("after-ask")
        return answer

    async def _ask_until_settled(self, payment_id: str, found: AttemptState) -> ApprovalAnswer | None:
        """The gateway's answer; None as soon as a notification to this process has settled the attempt."""
        settled = self._settled[payment_id] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(self.ask(payment_id, found))
        try:
            await asyncio.wait((asking, settled), return_when=asyncio.FIRST_COMPLETED)
            return await asking if asking.done() else None
        finally:
            del self._settled[payment_id]
            asking.cancel()

    async def refund(self, refund_id: str) -> Accepted:
        """Have one refund carried out, if it is due; see `RefundFlow.carry_out`."""
        return await self._refunds.carry_out(refund_id)

    async def record_failed_refund(self, refund_id: str, failed: RefundFailed) -> None:
        """Record that a refund came to nothing after it was made; see `RefundFlow.record_failed`."""
        await self._refunds.record_failed(refund_id, failed)

    async def _pay(self, claim: ClaimPayment) -> Outcome:
        if self._is_full():
            raise Busy(f"{MAX_AT_WORK:,} payments wait for the gateway", "TOO_MANY_REQUESTS")
        claimed = await self.calls.execute(claim)
        if isinstance(claimed, Rejected):
            return claimed
        if claimed.replayed:  # this request was here before: nobody is asked again
            return await as_it_is(self.calls.read, claim)
        self.calls.reach("after-claim")
        found = claim.attempt(str(claimed.data["reference"]))
        # the buyer's connection may end: what was claimed is carried on
        outcome = await asyncio.shield(self._start(self._approve(claim, found, _sku_ids(claimed))))
        # a notification may have recorded the answer first; to the buyer it is not a replay
        return outcome._replace(replayed=False)

    async def _approve(self, claim: ClaimPayment, found: AttemptState, sku_ids: tuple[str, ...]) -> Outcome:
        calls = self.calls
        if not calls.may_ask(claim.resolve_at_ms):  # too late: a reconciler may be asking at the same time
            return await as_it_is(self.calls.read, claim)
        answer = await self._ask_until_settled(claim.payment_id, found)
        if answer is None:
            return await as_it_is(calls.read, claim)
        if isinstance(answer, NotAsked):  # nobody has asked before, and nobody else may until the claim's time is over
            log.warning("payment %s: %s was not asked: %s", claim.payment_id, claim.gateway, answer.reason)
            answer = Declined(NOT_ASKED)
        if not isinstance(answer, Unknown):
            return await self.record(claim.payment_id, found, answer, sku_ids=sku_ids)
        log.warning("payment %s: no answer of %s: %s", claim.payment_id, claim.gateway, answer.reason)
        at_ms = calls.clock_ms()
        sooner = Postpone.at(
            "attempt",
            claim.payment_id,
            found.tries,
            now_ms=at_ms,
            resolve_at_ms=at_ms + pause_ms(found.tries),
            code=answer.reason,
        )
        calls.reach("before-record")
        postponed = await calls.persist(sooner)
        calls.reach("after-record")
        if isinstance(postponed, Rejected):  # a notification has settled it meanwhile
            return await as_it_is(self.calls.read, claim)
        return _open(claim, constants.UNKNOWN)

    async def _with_refunds(self, outcome: Accepted) -> Outcome:
        """The outcome of a cancellation, with the refunds as they are after the gateway was asked."""
        refunds: list[JsonValue] = []
        for each in outcome.data["refunds"]:  # type: ignore[union-attr]  # a list
            assert isinstance(each, dict)
            if each.get("status") == constants.UNKNOWN and "refund_id" not in each:
                refunds += await self._of_open_payment(each)
                continue
            if "refund_id" not in each or self._is_full():
                refunds.append(each)
                continue
            try:
                done = await asyncio.shield(self._start(self.refund(str(each["refund_id"]))))
            except StockadeError:  # logged; the cancellation is committed, and the reconciler has the refund
                refunds.append(each)
            else:
                refunds.append({**each, "refund_id": done.data["refund_id"], "status": done.data["status"]})
        return outcome._replace(data={**outcome.data, "refunds": refunds})

    async def _of_open_payment(self, each: Mapping[str, JsonValue]) -> list[JsonValue]:
        """What is given back of a payment that was under way when its order was cancelled; nothing of a decline."""
        id_ = str(each["payment_id"])
        found, owed = await self.calls.read(lambda conn: (attempt(conn, id_), refunds_of(conn, id_)))
        if found is None or found.state.status in constants.OPEN_ATTEMPT:
            return [dict(each)]
        return [
            {**each, "amount": refund.amount, "refund_id": refund_id, "status": refund.status}
            for refund_id, refund in owed.items()
            if refund.status != constants.REPLACED
        ]

    def _is_full(self) -> bool:
        return len(self._at_work) >= MAX_AT_WORK

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._at_work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a payment or refund is left to the reconciler: %r", error)


async def as_it_is(read: Read, claim: ClaimPayment) -> Outcome:
    """The answer to a repeated request: what was recorded, or the present state; PAYMENT_NOT_FOUND: it was none.

    Raises:
        IdempotencyKeyReused: it was another request.
    """
    id_ = claim.payment_id
    found, outcome = await read(lambda conn: (attempt(conn, id_), recorded_settlement(conn, id_)))
    if found is not None and found.state.fingerprint != claim.fingerprint:
        raise IdempotencyKeyReused("the Idempotency-Key was used before with another content")
    if found is not None and found.state.status in constants.OPEN_ATTEMPT:
        return _open(claim, found.state.status)._replace(replayed=True)
    if outcome is not None:
        return outcome
    if found is None:
        return Rejected(constants.PAYMENT_NOT_FOUND, {"payment_id": id_}, replayed=True)
    return Rejected(constants.STATE_CONFLICT, {"payment_id": id_, "status": found.state.status}, replayed=True)


def _kept_by_the_shop(answer: Approved | Declined) -> Approved | Declined:
    """What is to be recorded of an answer: of an approval only what the merchant has not given back by hand before."""
    if isinstance(answer, Declined) or not answer.refunded:
        return answer
    left = answer.money.amount - answer.refunded
    return Approved(answer.gateway_id, Money(left, answer.money.currency)) if left > 0 else Declined(GIVEN_BACK)


def _sku_ids(claimed: Accepted) -> tuple[str, ...]:
    """Of an accepted claim; none of a charge, or of a worker of an older version."""
    sku_ids = claimed.data.get("sku_ids")
    return tuple(map(str, sku_ids)) if isinstance(sku_ids, list) else ()


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
