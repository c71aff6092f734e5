"""Our name of an attempt to pay, which a gateway stores: it is known before the attempt, and the same over retries."""

from typing import Final

MAX_ATTEMPTS: Final = 20  # of one order or charge; each one before the last was declined


def reference_of(subject_id: str, number: int) -> str:
    """The reference of an attempt.

    Args:
        subject_id: of the order or charge that is paid.
        number: of the attempt, from 1; the next number is taken only after a definite decline.
    """
    return f"{subject_id}-{number}"


def next_reference(subject_id: str, attempts: int) -> str | None:
    """The reference of the next attempt; None after MAX_ATTEMPTS.

    Args:
        subject_id: as of `reference_of`.
        attempts: how many there were.
    """
    return reference_of(subject_id, attempts + 1) if attempts < MAX_ATTEMPTS else None
