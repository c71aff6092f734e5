"""The script calls of the Redis provider, packed once per lock: which script, which keys, which arguments.

Neighbours: `backend.py` (which makes the calls), `key_names.py` (keys and first arguments), `script.py`.
"""

import functools
from typing import Literal, NamedTuple, TypeAlias

from stockade.locks.checks import PREFIX
from stockade.locks.engine.lock_request import LockRequest, Spec
from stockade.locks.redis.key_names import head_args, names_of
from stockade.locks.redis.script import Prepared, Script, script

Verb: TypeAlias = Literal["acquire", "release", "renew", "inspect"]

_VERBS: tuple[Verb, ...] = ("acquire", "release", "inspect")
_MUTEX: dict[Verb, Script] = {verb: script("mutex_common", f"mutex_{verb}") for verb in _VERBS}
_SHARED: dict[Verb, Script] = {verb: script("shared_common", f"shared_{verb}") for verb in (*_VERBS, "renew")}


class AcquireReply(NamedTuple):
    """The server's answer to an acquire script.

    Attributes:
        fencing_token: of the grant; 0: not granted.
        wait_ms: milliseconds until the holder's lease ends; 0: not known, or granted.
    """

    fencing_token: int
    wait_ms: int

    @classmethod
    def of(cls, reply: int) -> "AcquireReply":
        """The script replies with the fencing token, or with minus the milliseconds."""
        return cls(reply, 0) if reply > 0 else cls(0, -reply)


class Query(NamedTuple):
    """One run of the acquire script for a request in the server's queue.

    Attributes:
        sent_at: monotonic second before it was sent.
        reply: the server's.
        heartbeat: whether it showed the server that this process lives.
    """

    sent_at: float
    reply: AcquireReply
    heartbeat: bool


class Space(NamedTuple):
    """Where the locks of a provider live.

    Attributes:
        prefix: of every key and channel.
        token_ttl_ms: for how many milliseconds a fence outlives its lock.
    """

    prefix: str
    token_ttl_ms: int


def channel_of(prefix: str) -> str:
    """The beginning of the notice channels of all processes; without a prefix and with the usual one it is the same."""
    return f"{'' if prefix == PREFIX else prefix}stockade:n:"


def prepared(space: Space, spec: Spec, verb: Verb, flags: tuple[int, ...]) -> Prepared:
    """The call for this lock; `Prepared.run` adds the owner."""
    if spec.kind == "lock":
        return _mutex(space, spec.name, spec.lease_s, spec.metadata, (verb, flags))
    return _made(space, spec, verb, flags)


@functools.lru_cache(maxsize=4096)
def _mutex(space: Space, name: str, lease_s: float, metadata: str, what: tuple[Verb, tuple[int, ...]]) -> Prepared:
    """Cached: making the call costs a tenth of what the client spends on a lock."""
    return _made(space, Spec(name, lease_s=lease_s, metadata=metadata), *what)


def _made(space: Space, spec: Spec, verb: Verb, flags: tuple[int, ...]) -> Prepared:
    names = names_of(space.prefix, spec.name, spec.kind)
    head = head_args(LockRequest(spec, ""), channel_of(space.prefix), names.alive, space.token_ttl_ms)
    args = (*head[1:], *flags)
    return Prepared((_MUTEX if spec.kind == "lock" else _SHARED)[verb], names.keys, args)
