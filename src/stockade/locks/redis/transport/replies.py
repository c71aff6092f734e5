"""What a server's error replies mean, decided in one place for all transports.

Three questions: may a repeat succeed, is the connection of no further use, does a greeting fail. The codes are those
of Redis and Valkey. Neighbours: the transports, `stockade.locks.redis.script`.
"""

import re
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.address import Address
from stockade.locks.redis.transport.transport import ServerError

# The server is up but cannot serve now. Every other code is an error of the caller.
_PASSING = frozenset(
    ("LOADING", "READONLY", "MISCONF", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS")
)
# Another connection may answer differently: the address leads to another server now, or the login is gone. The command
# had no effect.
_STALE = frozenset(("READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "DENIED"))
_OPTIONAL = frozenset(("NOPERM", "ERR"))  # of CLIENT SETNAME: no right to it, or no such command (managed servers)
_FULL = "ERR max number of clients"
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]{3,})\b")  # servers before 7 put the code into the text


def code_of(text: str) -> str:
    """The code of an error reply, also of an error inside a script."""
    first = text.split(" ", 1)[0]
    if first == "ERR" and (inner := _IN_SCRIPT.search(text)):
        return inner[1]
    return first


def may_heal(text: str) -> bool:
    """Whether the same call may succeed a little later."""
    return code_of(text) in _PASSING or text.startswith(_FULL)


def is_stale(text: str) -> bool:
    """Whether to give the connection up, and to send the call, which had no effect, over a fresh one."""
    return code_of(text) in _STALE or text.startswith(_FULL)


def greeting_trouble(address: Address, command: tuple[Any, ...], text: str) -> Exception | None:
    """The error that the refusal of a greeting's command means; None: the command is not needed.

    The server may repeat the arguments of a command that it does not know, so the password is cut out.
    """
    if address.password:
        text = text.replace(address.password, "***")
    if may_heal(text):
        return LockUnavailable.unsent(f"lock server {address.where}: {text}")
    if command[0] == "CLIENT" and code_of(text) in _OPTIONAL:
        return None
    return ServerError(text)


def refused_subscription(text: str) -> Exception:
    """The error that an error reply to SUBSCRIBE means."""
    return LockUnavailable.unsent(f"lock server: {text}") if may_heal(text) else ServerError(text)
