"""Our name of an attempt to pay, which a gateway stores: it is known before the attempt, and the same over retries."""


def reference_of(subject_id: str, number: int) -> str:
    """The reference of an attempt.

    Args:
        subject_id: of the order or charge that is paid.
        number: of the attempt, from 1; the next number is taken only after a definite decline.
    """
    return f"{subject_id}-{number}"
