"""What a server's error replies mean for the connection they came on, decided in one place for all transports.

Three questions: does a repeat heal it, is the connection of no further use, does a greeting end with it. Codes are
those of Redis and Valkey. Neighbours: the transports, `stockade.locks.redis.script`.
"""

import re
from typing import Any

from stockade.locks.errors import LockUnavailable
from stockade.locks.redis.transport.address import Address
from stockade.locks.runtime.runtime import ServerError

# The server is there but cannot serve now; everything else is a mistake of the caller's and is shown as such.
_PASSING = frozenset(
    ("LOADING", "READONLY", "MISCONF", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS")
)
# What another connection may answer differently: the address leads to another server now, or the login is gone. Nothing
# was carried out.
_STALE = frozenset(("READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH", "WRONGPASS", "DENIED"))
_OPTIONAL = frozenset(("NOPERM", "ERR"))  # of CLIENT SETNAME: no right to it, or no such command (managed servers)
_FULL = "ERR max number of clients"
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]{3,})\b")  # servers before 7 put the code into the text


def code_of(text: str) -> str:
    """The code of an error reply, also of one that a script met."""
    first = text.split(" ", 1)[0]
    if first == "ERR" and (inner := _IN_SCRIPT.search(text)):
        return inner[1]
    return first


def may_heal(text: str) -> bool:
    """Whether the same call may succeed a little later."""
    return code_of(text) in _PASSING or text.startswith(_FULL)


def is_stale(text: str) -> bool:
    """Whether the connection should be given up, and the call, which did nothing, be tried on a fresh one."""
    return code_of(text) in _STALE or text.startswith(_FULL)


def greeting_trouble(address: Address, command: tuple[Any, ...], text: str) -> Exception | None:
    """What the refusal of a command of the greeting means; None: one can do without.

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
    """What an error reply to SUBSCRIBE means."""
    return LockUnavailable.unsent(f"lock server: {text}") if may_heal(text) else ServerError(text)
