"""How an attempt that a gateway left open is resolved: a pure function of it, and of what the gateway can do."""

from enum import Enum
from typing import Final

from stockade.gateways import Capabilities
from stockade.shop.model.states import AttemptState

FIRST_PAUSE_MS: Final = 2_000
LONGEST_PAUSE_MS: Final = 600_000
MAX_TRIES: Final = 200  # more than a day; then a person decides
# For so long a request that was sent may still arrive at a gateway that does not know it: more than its time limits.
NOT_FOUND_IS_FINAL_MS: Final = 900_000


class NextStep(Enum):
    """What the reconciler does with an open attempt."""

    LOOK_UP = "look up by our reference, or by the gateway's own id"
    ASK_AGAIN = "ask again with the same key: the gateway repeats its first answer"
    DECLINE = "record that it was declined: the gateway never heard of it"
    WAIT = "a request may still be on its way"
    LEAVE_TO_A_PERSON = "nothing that is safe can find it out"


def first_step(attempt: AttemptState, capabilities: Capabilities, now_ms: int) -> NextStep:
    """How to find out what became of an attempt.

    Args:
        attempt: open, and due.
        capabilities: of its gateway.
        now_ms: wall clock in milliseconds since 1970.
    """
    if attempt.tries >= MAX_TRIES:
        return NextStep.LEAVE_TO_A_PERSON
    if capabilities.look_up or attempt.gateway_id:
        return NextStep.LOOK_UP
    return NextStep.ASK_AGAIN if _key_is_valid(attempt, capabilities, now_ms) else NextStep.LEAVE_TO_A_PERSON


def after_not_found(attempt: AttemptState, capabilities: Capabilities, now_ms: int, *, wanted: bool) -> NextStep:
    """What to do when the gateway knows no payment of the reference.

    Args:
        attempt: as for `first_step`.
        capabilities: of its gateway.
        now_ms: wall clock in milliseconds since 1970.
        wanted: whether the order or charge still waits for this attempt; what nobody wants is not asked for again.
    """
    if wanted and _key_is_valid(attempt, capabilities, now_ms):
        return NextStep.ASK_AGAIN
    return NextStep.DECLINE if now_ms - attempt.created_ms > NOT_FOUND_IS_FINAL_MS else NextStep.WAIT


def pause_ms(tries: int) -> int:
    """How long to wait after so many tries: twice as long each time, up to a limit."""
    return min(FIRST_PAUSE_MS << min(tries, 20), LONGEST_PAUSE_MS)


def _key_is_valid(attempt: AttemptState, capabilities: Capabilities, now_ms: int) -> bool:
    return now_ms - attempt.created_ms < capabilities.key_valid_s * 1_000
