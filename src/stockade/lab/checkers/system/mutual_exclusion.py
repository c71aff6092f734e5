"""Mutual exclusion at the resource: who has lost a lease writes nothing any more.

Judged is what the resource accepted, not what the lock said: no lock can exclude a client that is stopped. After an
access with token t, no write with a smaller token may be accepted, nor one with t by another owner. Without tokens, an
owner that had access before another owner may not write again: an owner is one lease.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import LockAccess

RULE: Final = "mutual-exclusion"
WRITE: Final = "write"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first write of each resource that should not have been accepted."""
    applied = sorted(
        (each for each in history.history.accesses if each.applied), key=lambda each: (each.key, each.at_ns)
    )
    for key, accesses in groupby(applied, key=lambda each: each.key):
        found = _first_error(list(accesses))
        if found:
            access, text = found
            detail = f"{key}: client {access.client} (owner {access.owner}, token {access.token}) wrote {text}"
            yield Violation(RULE, detail, key=key, at_ns=access.at_ns)


def _first_error(accesses: list[LockAccess]) -> tuple[LockAccess, str] | None:
    highest: LockAccess | None = None
    last: LockAccess | None = None
    gone: dict[str, LockAccess] = {}  # owners that others have followed, and the first of these
    for access in accesses:
        if access.kind == WRITE and highest and access.token:
            after = f"after an access of {highest.owner} with token {highest.token}"
            if access.token < highest.token:
                return access, after
            if access.token == highest.token and access.owner != highest.owner:
                return access, f"{after}: one token, two owners"
        if access.kind == WRITE and not access.token and access.owner in gone:
            return access, f"after {gone[access.owner].owner} had access"
        if last and last.owner != access.owner:
            gone.setdefault(last.owner, access)
        last = access
        if access.token and (highest is None or access.token > highest.token):
            highest = access
    return None
