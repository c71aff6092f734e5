"""Nothing is left behind: no lock that stays, no lock key without an expiry, no counter above where it may be."""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "nothing-left"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Compare the counters before and after, and the queues with their bounds."""
    left = history.final.leftovers
    for key in left.keys_not_free:
        yield Violation(RULE, f"{key} is locked, and could not be taken within its lease and a second", key=key)
    for key in left.lock_keys_without_expiry:
        yield Violation(RULE, f"the lock key {key} would stay for ever: it has no expiry", key=key)
    for name, after in sorted(left.after.items()):
        before, may_grow = left.before.get(name, 0), left.may_grow.get(name, 0)
        if after > before + may_grow:
            grown = f", and may have grown by {may_grow}" if may_grow else ""
            text = f"{name}: {after} when everything had returned, {before} before{grown}"
            yield Violation(RULE, text, about_time=True)  # they had a bounded time to come back
    for name, highest in sorted(left.highest.items()):
        bound = left.bounds.get(name)
        if bound is not None and highest > bound:
            yield Violation(RULE, f"{name}: {highest} at its highest, and its bound is {bound}")
    for name in sorted(left.bounds.keys() - left.highest.keys()):
        text = f"{name}: was never counted, so its bound of {left.bounds[name]} proves nothing"
        yield Violation(RULE, text, about_time=True)  # no process had told its counters in time
