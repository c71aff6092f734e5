"""The id of this process, which is the first half of every owner id, and the reset of state after a fork.

A child process gets a new id. State that belongs to the parent (guards that another thread held at the fork, requests
and leases) is dropped in the child before any code of the user runs there.
"""

import itertools
import os
import secrets
import weakref
from typing import Protocol


class ResetsInChild(Protocol):
    """An object whose state belongs to one process."""

    def reset_in_child(self) -> None:
        """Start anew in the child of a fork, without touching what the parent uses."""
        ...


_registered: "weakref.WeakSet[ResetsInChild]" = weakref.WeakSet()


def reset_after_fork(each: ResetsInChild) -> None:
    """Call `each.reset_in_child()` in every child process; `each` is referenced weakly."""
    _registered.add(each)


_left_to_parent: list[object] = []


def leave_to_parent(*objects: object) -> None:
    """In the child of a fork: never free these, whose finalizers would use sockets and selectors of the parent."""
    _left_to_parent.extend(objects)


class _Identity:
    value = secrets.token_hex(8)

    @classmethod
    def renew(cls) -> None:
        cls.value = secrets.token_hex(8)
        for each in list(_registered):
            each.reset_in_child()


os.register_at_fork(after_in_child=_Identity.renew)


def process_id() -> str:
    """Sixteen hex digits, unique to this process."""
    return _Identity.value


_numbers = itertools.count()


def new_id() -> str:
    """`<process>.<number>`: an owner id that no other process, thread, task or provider makes."""
    return f"{_Identity.value}.{next(_numbers)}"
