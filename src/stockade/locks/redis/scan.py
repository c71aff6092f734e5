"""What `inspect` and `scan` show of a Redis server: holders and waiters of a lock, and the locks in use.

The search is bounded (SCAN, never KEYS). Every lock leaves its fence (`…:f`) for `token_ttl_s`; callers that wait make
a queue (`…:q`). These keys are searched, and the locks in use are kept. Neighbours: `key_names.py`, `cli/locks.py`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from stockade.locks.engine.lock_request import Holder, Kind, LockInfo
from stockade.locks.redis.key_names import names_of
from stockade.locks.redis.script import refuse, script, translated
from stockade.locks.redis.transport.transport import Server, ServerError

KINDS: tuple[Kind, ...] = ("lock", "rw", "semaphore")
_BATCH = 500


class LocksInUse(NamedTuple):
    """The result of a search.

    Attributes:
        found: kind and name of each lock that is held or waited for, sorted by name.
        complete: False when a bound ended the search.
    """

    found: tuple[tuple[Kind, str], ...]
    complete: bool


def info_of(name: str, kind: Kind, reply: Sequence[Any]) -> LockInfo:
    """The reply of an inspect script as a value."""
    found, queue = reply
    rows = [found] if kind == "lock" and found[0] else [] if kind == "lock" else found
    return LockInfo(name, tuple(map(holder_of, rows)), tuple(_text(entry).split(" ", 1)[0] for entry in queue))


def holder_of(row: Sequence[Any]) -> Holder:
    """One holder of such an answer: owner, ms left, token, metadata, ms of the grant, ms held; -1: not known."""
    owner, ttl_ms, token, meta, since_ms, held_ms = row
    ttl_s = int(ttl_ms) / 1000 if int(ttl_ms) >= 0 else math.inf
    if int(since_ms) < 0:
        return Holder(_text(owner), int(token), ttl_s, _text(meta))
    return Holder(_text(owner), int(token), ttl_s, _text(meta), int(held_ms) / 1000, int(since_ms) / 1000)


def lock_of(key: str, prefix: str) -> tuple[Kind, str] | None:
    """Kind and name of the lock that a fence or a queue belongs to; None: it has another prefix.

    A name with a `{tag}` of its own that ends in `:rw` or `:semaphore` is read as that kind.
    """
    base = key.rpartition(":")[0]
    full, kind = base, KINDS[0]
    for shared in KINDS[1:]:
        if base.endswith(f":{shared}"):
            full, kind = base.removesuffix(f":{shared}"), shared
    if full.startswith(f"{prefix}{{{prefix}"):
        full = full[len(prefix) :]
    full = full[1:-1] if full[:1] == "{" and full[-1:] == "}" and full.count("}") == 1 else full.removesuffix("{}")
    name = full.removeprefix(prefix)
    if not full.startswith(prefix) or not name or names_of(prefix, name, kind).keys[2] != f"{base}:f":
        return None
    return kind, name


async def scan(server: Server, prefix: str, *, max_keys: int, timeout_s: float, apart: bool = False) -> LocksInUse:
    """Search for the locks in use.

    Args:
        server: the server, or one master of a cluster.
        prefix: of the names.
        max_keys: how many keys of the server are looked at, at most.
        timeout_s: for each call.
        apart: whether keys of two locks may not stand in one call (a cluster).

    Raises:
        LockUnavailable: no answer in time, or the server cannot serve now.
        LockError: the server refused.
    """
    seen: set[tuple[Kind, str]] = set()
    cursor, passed = "0", 0
    while passed < max_keys:
        try:
            answer = await server.call("SCAN", cursor, "MATCH", "*:[fq]", "COUNT", _BATCH, timeout_s=timeout_s)
        except ServerError as error:
            raise translated(error) from error
        if not isinstance(answer, list | tuple):  # redis-py makes it one
            await refuse(server, answer)
        cursor, passed = _text(answer[0]), passed + _BATCH
        locks = [lock_of(_text(key), prefix) for key in answer[1]]
        known = [lock for lock in locks if lock]
        for group in [[lock] for lock in known] if apart else [known]:
            seen |= set(await _in_use(server, prefix, group, timeout_s))
        if cursor == "0":
            break
    return LocksInUse(tuple(sorted(seen, key=lambda lock: (lock[1], lock[0]))), cursor == "0")


async def _in_use(
    server: Server, prefix: str, locks: list[tuple[Kind, str]], timeout_s: float
) -> list[tuple[Kind, str]]:
    """Those of the locks that have a holder or a queue."""
    if not locks:
        return []
    keys = tuple(key for kind, name in locks for key in names_of(prefix, name, kind).keys[:2])
    there = await script("existing").run(server, keys, (), timeout_s)
    return [lock for number, lock in enumerate(locks) if there[2 * number] or there[2 * number + 1]]


def _text(value: bytes | str | int) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
