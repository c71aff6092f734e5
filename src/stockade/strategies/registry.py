"""Every strategy by name. Adding one is one file and one line here."""

from stockade.core import Promise, Store, Strategy
from stockade.strategies.advisory import Advisory
from stockade.strategies.base import Base
from stockade.strategies.conditional import Conditional
from stockade.strategies.in_process import InProcess
from stockade.strategies.kafka import Kafka
from stockade.strategies.optimistic import Optimistic
from stockade.strategies.options import Options
from stockade.strategies.pessimistic import Pessimistic
from stockade.strategies.redis_pubsub import RedisPubsub
from stockade.strategies.redis_spin import RedisSpin
from stockade.strategies.redlock import Redlock
from stockade.strategies.sequencer import Sequencer
from stockade.strategies.serializable import Serializable
from stockade.strategies.unprotected import Unprotected

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


def promise(name: str) -> Promise:
    """What a strategy claims."""
    return find(name).promise


def summary(name: str) -> str:
    """What a strategy does, in one line."""
    return (find(name).__doc__ or "").strip().partition("\n")[0]


def create(name: str, store: Store, options: Options | None = None) -> Strategy:
    """Make a strategy over a store; start it before use."""
    return find(name)(store, options)
