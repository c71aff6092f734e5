"""Who this process is: the first half of every owner id. Made anew after a fork, so that the child is another one.

Whatever a provider keeps about its process is dropped in the child at once, before any code of the user runs there:
guards that another thread held at the fork, requests and leases that belong to the parent.
"""

import itertools
import os
import secrets
import weakref
from typing import Protocol


class ResetsInChild(Protocol):
    """Something with a state that belongs to one process."""

    def reset_in_child(self) -> None:
        """In the child of a fork: begin anew, without touching what the parent uses."""
        ...


_forked: "weakref.WeakSet[ResetsInChild]" = weakref.WeakSet()


def reset_after_fork(each: ResetsInChild) -> None:
    """Call its `reset_in_child` in every child; `each` is referenced weakly."""
    _forked.add(each)


_left_to_parent: list[object] = []


def leave_to_parent(*objects: object) -> None:
    """In the child of a fork: never free these, whose finalizers would use sockets and selectors of the parent."""
    _left_to_parent.extend(objects)


class _Identity:
    value = secrets.token_hex(8)

    @classmethod
    def renew(cls) -> None:
        cls.value = secrets.token_hex(8)
        for each in list(_forked):
            each.reset_in_child()


os.register_at_fork(after_in_child=_Identity.renew)


def process_id() -> str:
    """Sixteen hex digits, unique to this process."""
    return _Identity.value


_numbers = itertools.count()


def new_id() -> str:
    """`<process>.<number>`: an owner id that no other process, thread, task or provider makes."""
    return f"{_Identity.value}.{next(_numbers)}"
