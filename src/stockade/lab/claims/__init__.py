"""The reports' claims as runs: what each says, what is measured here, and the verdict. A claim is one file in `runs/`
and one line in `CLAIMS`. Neighbours: `claim.py` says what a claim is, `shop_runs.py` has what most of them need.
"""

from stockade.lab.claims.claim import Claim
from stockade.lab.claims.runs import (
    attempts,
    expiry,
    fairness,
    foreign_release,
    hierarchy,
    hold_time,
    lock_wait,
    nowait,
    one_of_many,
    quorum,
    short_lease,
    timestamp,
    wake_up,
    worst_case,
)
from stockade.lab.errors import LabError

CLAIMS: tuple[Claim, ...] = (
    attempts.CLAIM,
    worst_case.CLAIM,
    one_of_many.CLAIM,
    timestamp.CLAIM,
    lock_wait.CLAIM,
    nowait.CLAIM,
    hold_time.CLAIM,
    hierarchy.CLAIM,
    fairness.CLAIM,
    wake_up.CLAIM,
    expiry.CLAIM,
    short_lease.CLAIM,
    foreign_release.CLAIM,
    quorum.CLAIM,
)


def find(text: str) -> tuple[Claim, ...]:
    """The claims of these names, separated by commas; all where it is empty.

    Raises:
        LabError: there is none of a name; the message lists those that exist.
    """
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    known = {claim.name: claim for claim in CLAIMS}
    for name in wanted:
        if name not in known:
            raise LabError(f"unknown claim {name!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in wanted) or CLAIMS
