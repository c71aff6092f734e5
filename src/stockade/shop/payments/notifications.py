"""What a gateway reports by itself: before, during or after the reply to the request, several times, in any order.

A signed notification is an answer. An unsigned one is a hint: anyone can send it, so the payment is looked up, within
bounds, and the answer to that counts. The first recorded answer wins, whoever brought it. What was reported is acted on
first and remembered afterwards: a crash between repeats it, which changes nothing. Neighbours: `flow` records, the HTTP
route calls `take`.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from stockade.core import Busy
from stockade.core.clock import now_ms
from stockade.gateways import Approved, Declined, Notification, RefundFailed, Unknown
from stockade.gateways.gateway import LookUpAnswer
from stockade.service.ids import derived_id
from stockade.shop.model import constants
from stockade.shop.model.tables import gateway_events
from stockade.shop.payments.calls import Read
from stockade.shop.payments.flow import SECOND_CHARGE, Payments
from stockade.shop.payments.gateway_events import was_taken
from stockade.shop.payments.open_payments import OpenAttempt, attempt_of_reference, refund
from stockade.store import Database

log = logging.getLogger(__name__)
LOOK_UPS: Final = 16  # at once, in this process; the gateway sends again what is refused
PAUSE_S: Final = 2.0  # after a hint about a payment, before the next one has it looked up
MOST_PAUSES: Final = 1_000
REMEMBER_S: Final = 5.0
_OURS = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z").match  # a reference; anyone may have written another text
_PLAIN = re.compile(r"[!-~]{1,200}\Z").match


class Notifications:
    """Takes the notifications of the gateway of the settings.

    Args:
        payments: records answers.
        read: runs a query, `Shop.read`.
        database: remembers events.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, payments: Payments, read: Read, database: Database, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._payments, self._read, self._database, self._clock = payments, read, database, clock
        self._looked_up: set[str] = set()
        self._until_s: dict[str, float] = {}  # by payment: when its pause ends; the first one first

    @property
    def gateway(self) -> str:
        """Whose notifications these are."""
        return self._payments.gateway.name

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Act on a notification; it need not be sent again when this returns.

        Args:
            headers: of the request, with names in lower case.
            body: as it came, at most MAX_NOTIFICATION_BYTES.

        Raises:
            BadNotification: it is not from the gateway, or cannot be read.
            Busy: too many look-ups (code TOO_MANY_REQUESTS), no answer of the gateway (DEPENDENCY_DOWN), or as `read`.
            Unknown: the answer could not be recorded.
        """
        gateway = self._payments.gateway
        event = gateway.read_notification(headers, body)
        event_id = _event_id(event)
        if not _OURS(event.reference):
            return
        if isinstance(event.answer, RefundFailed):
            await self._refund_failed(event.reference, event.answer, event_id)
            return
        found, taken = await self._read(
            lambda conn: (attempt_of_reference(conn, event.reference), was_taken(conn, gateway.name, event_id))
        )
        if found is None or found.state.gateway != gateway.name or taken:
            return  # of another shop with the same account, or of a page that the buyer left; or a repetition
        signed = gateway.capabilities.signed_notifications
        settled = False
        if found.state.status in (*constants.OPEN_ATTEMPT, constants.DECLINED):  # else approved: settled for good
            # a charge behind a decline may be of another payment of our reference: the gateway is asked about that one
            named = event.gateway_id if signed or found.state.status == constants.DECLINED else ""
            answer = (event.answer if signed else None) or await self._look_up(found, named)
            settled = await self._settle(found, answer)
        elif signed and isinstance(event.answer, Approved) and event.answer.gateway_id != found.state.gateway_id:
            self._second_charge(found, event.answer)
        if signed or settled:  # a stranger's notification that changed nothing leaves no row
            await self._remember(event_id, event.reference)

    def _second_charge(self, found: OpenAttempt, charged: Approved) -> None:
        """Of another payment under our reference: no row can hold it, so a person has to give it back there."""
        self._payments.answers[SECOND_CHARGE] += 1
        log.error(
            "payment %s (reference %s): %s reports a second charge of %s as %s beside %s: give it back there",
            found.id,
            found.state.reference,
            self.gateway,
            charged.money,
            charged.gateway_id,
            found.state.gateway_id,
        )

    async def _refund_failed(self, refund_id: str, failed: RefundFailed, event_id: str) -> None:
        """Record that a refund came to nothing, for a person to see; only what is signed says so."""
        gateway = self._payments.gateway
        found, taken = await self._read(lambda conn: (refund(conn, refund_id), was_taken(conn, gateway.name, event_id)))
        is_ours = found is not None and found.attempt.gateway == gateway.name
        if is_ours and gateway.capabilities.signed_notifications and not taken:
            await self._payments.record_failed_refund(refund_id, failed)
            await self._remember(event_id, refund_id)

    async def _look_up(self, found: OpenAttempt, named: str) -> LookUpAnswer:
        if found.id in self._looked_up or len(self._looked_up) >= LOOK_UPS or self._pauses(found.id):
            raise Busy("payments are being looked up", "TOO_MANY_REQUESTS")
        self._looked_up.add(found.id)
        state, gateway = found.state, self._payments.gateway
        try:
            call = gateway.look_up(state.reference, named or state.gateway_id, state.payment_key)
            return await self._payments.calls.bounded(call, f"payment {found.id}")
        finally:
            self._looked_up.discard(found.id)
            if not gateway.capabilities.signed_notifications:  # anyone may have sent it
                self._until_s[found.id] = self._clock() + PAUSE_S

    def _pauses(self, payment_id: str) -> bool:
        while self._until_s and self._until_s[first := next(iter(self._until_s))] <= self._clock():
            del self._until_s[first]
        return payment_id in self._until_s or len(self._until_s) >= MOST_PAUSES

    async def _settle(self, found: OpenAttempt, answer: LookUpAnswer) -> bool:
        """Record what is news; whether anything was.

        Raises:
            Busy: no reconciler would ask again.
        """
        declined = found.state.status == constants.DECLINED
        if isinstance(answer, Unknown) and (declined or found.state.resolve_at_ms == constants.NEVER):
            raise Busy(f"no answer about {found.state.reference}: {answer.reason}", "DEPENDENCY_DOWN")
        if not isinstance(answer, Approved if declined else Approved | Declined):
            return False
        await self._payments.record(found.id, found.state, answer)
        log.info("payment %s: the gateway %s reported %s", found.id, self.gateway, type(answer).__name__)
        return True

    async def _remember(self, event_id: str, reference: str) -> None:
        database = self._database
        row = {"gateway": self.gateway, "event_id": event_id, "reference": reference, "received_ms": now_ms()}
        await database.write(
            lambda conn: database.dialect.insert_missing(conn, gateway_events, [row]), timeout_s=REMEMBER_S
        )


def _event_id(event: Notification) -> str:
    """The id as it is stored: that of an unsigned notification may be any text."""
    return event.event_id if _PLAIN(event.event_id) else derived_id("event", event.event_id)
