"""Who this process is: the first half of every owner id. Made anew after a fork, so that the child is another one."""

import itertools
import os
import secrets


class _Identity:
    value = secrets.token_hex(8)

    @classmethod
    def renew(cls) -> None:
        cls.value = secrets.token_hex(8)


os.register_at_fork(after_in_child=_Identity.renew)


def process_id() -> str:
    """Sixteen hex digits, unique to this process."""
    return _Identity.value


_numbers = itertools.count()


def new_id() -> str:
    """`<process>.<number>`: an owner id that no other process, thread, task or provider makes."""
    return f"{_Identity.value}.{next(_numbers)}"
