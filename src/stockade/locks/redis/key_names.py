"""Names of the keys of one lock on a Redis server, and the arguments its scripts take.

All keys of a lock carry one hash tag, so that they stay together on a cluster: a name without `{tag}` becomes the
tag itself. All begin with the prefix, so that a user whose rights end at it (`~shop:*`) can have locks. The mutex's
owner is a plain string at the name, as in other libraries.
"""

import functools
import math
from typing import NamedTuple

from stockade.locks.engine.lock_request import Kind, LockRequest


class Names(NamedTuple):
    """Keys in the order in which the scripts want them, and the prefix of the alive keys."""

    keys: tuple[str, str, str, str]
    alive: str


@functools.lru_cache(maxsize=4096)
def names_of(prefix: str, name: str, kind: Kind) -> Names:
    """The keys of this lock; cached, since making four strings costs more than the rest of a call."""
    full = prefix + name
    if full[0] == "{" and full.find("}") == len(full) - 1:  # `{x}` is another lock than `x`, whose tag would be `{x}`
        tag = full + "{}"
    else:
        tag = full if "{" in full and "}" in full else f"{prefix}{{{full}}}"
    if kind == "lock":
        return Names((full, f"{tag}:q", f"{tag}:f", f"{tag}:m"), f"{tag}:a:")
    return Names((f"{tag}:{kind}", f"{tag}:{kind}:q", f"{tag}:{kind}:f", f"{tag}:{kind}:m"), f"{tag}:{kind}:a:")


def lease_ms(lease_s: float) -> int:
    """Whole milliseconds for the server; 0 where no lease is requested (inspect, break)."""
    return 0 if lease_s == math.inf else max(1, round(lease_s * 1000))


def head_args(request: LockRequest, channel: str, alive: str, token_ttl_ms: int) -> tuple[str | int, ...]:
    """The arguments that every script of this kind begins with."""
    spec = request.spec
    head = (request.owner_id, lease_ms(spec.lease_s), spec.metadata, channel, alive, token_ttl_ms)
    return head if spec.kind == "lock" else (*head, spec.weight, spec.capacity)
