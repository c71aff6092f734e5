"""How what a gateway left open is resolved: pure functions of it, and of what the gateway can do."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from stockade.gateways import Capabilities, Gateway
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState, RefundState

FIRST_PAUSE_MS: Final = 2_000
LONGEST_PAUSE_MS: Final = 600_000
MAX_TRIES: Final = 200  # more than a day; then a person decides
ASK_AGAIN_MS: Final = 1_800_000  # after the claim; a gateway that refuses without a decline would be asked for ever
# For so long a request that was sent may still arrive at a gateway that does not know it: more than its time limits.
NOT_FOUND_IS_FINAL_MS: Final = 900_000


class NextStep(Enum):
    """What the reconciler does with an open attempt."""

    LOOK_UP = "look up by our reference, or by the gateway's own id"
    ASK_AGAIN = "ask again with the same key: the gateway repeats its first answer"
    DECLINE = "record that it was declined: the gateway never heard of it"
    WAIT = "a request may still be on its way"
    LEAVE_TO_A_PERSON = "nothing that is safe can find it out"


class RefundStep(Enum):
    """What is done with a refund that is due."""

    ASK = "ask, for the first time or with a key that is valid"
    LOOK_UP = "look at what the payment shows as given back"
    LEAVE_TO_A_PERSON = "nothing that is safe can find it out"


def first_step(attempt: AttemptState, gateway: Gateway, now_ms: int) -> NextStep:
    """How to find out what became of an attempt. What is settled is looked up at most.

    Args:
        attempt: as it was read.
        gateway: in use; an attempt of another one waits for a process that uses that one.
        now_ms: wall clock in milliseconds since 1970.
    """
    if attempt.gateway != gateway.name:
        return NextStep.WAIT
    if attempt.tries >= MAX_TRIES:
        return NextStep.LEAVE_TO_A_PERSON
    if gateway.capabilities.look_up or attempt.gateway_id:
        return NextStep.LOOK_UP
    if attempt.status in constants.OPEN_ATTEMPT and _key_is_valid(attempt.created_ms, gateway.capabilities, now_ms):
        return NextStep.ASK_AGAIN
    return NextStep.LEAVE_TO_A_PERSON


def after_not_found(attempt: AttemptState, capabilities: Capabilities, now_ms: int, *, wanted: bool) -> NextStep:
    """What to do when the gateway knows no payment of the reference.

    It is asked again for `ASK_AGAIN_MS`. That nothing is found is final `NOT_FOUND_IS_FINAL_MS` after the last moment
    at which anybody may have asked.

    Args:
        attempt: as for `first_step`.
        capabilities: of its gateway.
        now_ms: wall clock in milliseconds since 1970.
        wanted: whether the order or charge still waits for this attempt; what nobody wants is not asked for again.
    """
    if attempt.status not in constants.OPEN_ATTEMPT:
        return NextStep.WAIT
    asked_for_ms = min(ASK_AGAIN_MS, int(capabilities.key_valid_s * 1_000))
    age_ms = now_ms - attempt.created_ms
    if wanted and age_ms < asked_for_ms:
        return NextStep.ASK_AGAIN
    return NextStep.DECLINE if age_ms > asked_for_ms + NOT_FOUND_IS_FINAL_MS else NextStep.WAIT


def refund_is_due(refund: RefundState, now_ms: int) -> bool:
    """Whether somebody may act on a refund now; nobody, while another process is at it."""
    if refund.status == constants.READY:
        return True
    return refund.status == constants.UNKNOWN and constants.NEVER < refund.resolve_at_ms <= now_ms


def refund_step(refund: RefundState, attempt: AttemptState, gateway: Gateway, now_ms: int) -> RefundStep:
    """How a refund is carried out. Only with a valid key is a gateway asked twice.

    Args:
        refund: due.
        attempt: what it gives back.
        gateway: of the attempt.
        now_ms: wall clock in milliseconds since 1970.
    """
    if refund.tries >= MAX_TRIES:
        return RefundStep.LEAVE_TO_A_PERSON
    if refund.tries == 0 or _key_is_valid(refund.created_ms, gateway.capabilities, now_ms):
        return RefundStep.ASK
    found_by = gateway.capabilities.look_up or attempt.gateway_id
    return RefundStep.LOOK_UP if found_by else RefundStep.LEAVE_TO_A_PERSON


def refund_is_shown(refunded: int, refund_id: str, refunds: Mapping[str, RefundState]) -> bool:
    """Whether a payment shows a refund that was asked for.

    Args:
        refunded: what the gateway says that it has given back of the payment.
        refund_id: of the refund, which is open.
        refunds: all refunds of the payment, by id.

    Returns:
        True if what is not recorded yet is this refund exactly, or all open ones together. Anything between may be
        another one of them.
    """
    recorded = sum(each.amount for each in refunds.values() if each.status == constants.REFUNDED)
    asked = sum(each.amount for each in refunds.values() if each.status == constants.UNKNOWN)
    return refunded - recorded in (refunds[refund_id].amount, asked)


def not_to_be_retried(refunded: int, refunds: Iterable[RefundState]) -> str | None:
    """Why a refused refund of a payment must not be asked for again now, as a sentence; None: it may.

    Args:
        refunded: what the gateway says that it has given back of the payment.
        refunds: all of the payment.
    """
    found = list(refunds)
    if any(each.status in constants.OPEN_REFUND for each in found):
        return "another refund of the payment is open: ask again when it is settled"
    recorded = sum(each.amount for each in found if each.status == constants.REFUNDED)
    # of those that were made and failed, a gateway may or may not go on to show the amount
    failed = sum(each.amount for each in found if each.status != constants.REFUNDED and each.gateway_id)
    if recorded <= refunded <= recorded + failed:
        return None
    advice = "if the money was given back by hand, say --refunded" if refunded > recorded else "find out why first"
    return f"the gateway shows {refunded:,} given back of the payment, and {recorded:,} is recorded: {advice}"


def not_shown_is_final(refund: RefundState, now_ms: int) -> bool:
    """Whether a refund that the payment does not show will not come any more by itself."""
    return now_ms - refund.created_ms > NOT_FOUND_IS_FINAL_MS


def pause_ms(tries: int) -> int:
    """How long to wait after so many tries: twice as long each time, up to a limit."""
    return min(FIRST_PAUSE_MS << min(tries, 20), LONGEST_PAUSE_MS)


def _key_is_valid(created_ms: int, capabilities: Capabilities, now_ms: int) -> bool:
    return now_ms - created_ms < capabilities.key_valid_s * 1_000
