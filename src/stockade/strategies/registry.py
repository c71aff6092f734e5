"""Every strategy by name, and which strategies may run side by side. A new strategy is one file and one line here."""

import hashlib
from collections.abc import Sequence
from uuid import uuid4

from stockade.core import Guarantees, GuardKind, Store, Strategy
from stockade.strategies.advisory import Advisory
from stockade.strategies.base import Base
from stockade.strategies.conditional import Conditional
from stockade.strategies.in_process import InProcess
from stockade.strategies.kafka import Kafka
from stockade.strategies.lock_based import LockBased
from stockade.strategies.optimistic import Optimistic
from stockade.strategies.options import Options
from stockade.strategies.pessimistic import Pessimistic
from stockade.strategies.redis_pubsub import RedisPubsub
from stockade.strategies.redis_spin import RedisSpin
from stockade.strategies.redlock import Redlock
from stockade.strategies.sequencer import Sequencer
from stockade.strategies.serializable import Serializable
from stockade.strategies.unprotected import Unprotected

COMPOSES = "composes"
_ALONE = "alone:"

STRATEGIES: dict[str, type[Base]] = {
    each.name: each
    for each in (
        Unprotected,
        InProcess,
        Optimistic,
        Pessimistic,
        Conditional,
        Serializable,
        Advisory,
        RedisSpin,
        RedisPubsub,
        Redlock,
        Sequencer,
        Kafka,
    )
}


def names() -> tuple[str, ...]:
    """All strategy names, in the order of the documentation."""
    return tuple(STRATEGIES)


def find(name: str) -> type[Base]:
    """The class of a strategy.

    Raises:
        ValueError: there is none of this name; the message lists them.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        raise ValueError(f"unknown strategy {name!r}; there are: {', '.join(STRATEGIES)}") from None


def guarantees(name: str) -> Guarantees:
    """What a strategy claims."""
    return find(name).guarantees


def summary(name: str) -> str:
    """What a strategy does, in one line."""
    return (find(name).__doc__ or "").strip().partition("\n")[0]


def create(name: str, store: Store, options: Options | None = None) -> Strategy:
    """Make a strategy over a store; start it before use."""
    return find(name)(store, options)


def compatibility(strategies: Sequence[Strategy]) -> str:
    """A text that must be equal for all processes on one database.

    Guards that compose protect rows from each other's writers, whatever the strategy. Every other guard protects them
    only from writers under the same strategy with the same parameters, and a lock in the process from no other process.
    """
    if all(each.guard.composes for each in strategies):
        return COMPOSES
    if any(each.guarantees.processes == "one" for each in strategies):
        return f"{_ALONE}{uuid4().hex}"
    return ",".join(sorted(map(_with_parameters, strategies)))


def stands_beside(name: str) -> str:
    """Which processes may run beside one under this strategy, with its default guard, in a few words."""
    kind = find(name)
    if kind.guarantees.may_oversell:
        return "strategies like it, all started with --allow-overselling"
    if kind.guarantees.processes == "one":
        return "nothing, not even itself"
    if _composes(name):
        return "all that compose (row, version, delta, serializable)"
    return "itself, with the same parameters"


def works_beside(strategies: str, compatibility: str) -> str:
    """Which strategies may be started beside a running process, in a few words.

    Args:
        strategies: of the running process, by name.
        compatibility: of the running process, as `compatibility` returns it.
    """
    if compatibility == COMPOSES:
        others = [name for name in STRATEGIES if _composes(name)]
        return f"beside {strategies} work {', '.join(others)}"
    if compatibility.startswith(_ALONE):
        return f"beside {strategies} nothing works, not even a second one"
    if f":{GuardKind.NONE.value}" in compatibility:
        return f"beside {strategies} only works what was started with --allow-overselling, as all of them"
    return f"beside {strategies} only works {strategies} with the same parameters"


def oversells(strategy: Strategy) -> bool:
    """Whether nothing protects the rows: no guard, and the strategy does not claim to be the only process."""
    return strategy.guard.kind is GuardKind.NONE and strategy.guarantees.processes != "one"


def _composes(name: str) -> bool:
    """Whether the default guard of a strategy composes."""
    kind = find(name)
    if kind.guarantees.processes == "one":
        return False
    default = object.__new__(kind)  # the guard depends on the parameters only, so it needs no store
    default.options = Options()
    return default.guard.composes


def _with_parameters(strategy: Strategy) -> str:
    """Name, guard, and the lock servers without user and password: the credentials may change while they run."""
    guard = strategy.guard
    parts = [strategy.name, guard.kind.value, *(["bare clock"] if guard.bare_clock else [])]
    if isinstance(strategy, LockBased):
        servers = sorted(url.rpartition("@")[2].partition("?")[0] for url in strategy.options.redis)
        parts.append(hashlib.blake2b("\n".join(servers).encode(), digest_size=8).hexdigest())
    return ":".join(parts)
