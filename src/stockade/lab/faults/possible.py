"""Why a fault cannot happen with a strategy on a database: derived from what it needs. Neighbour: `site/needs.py`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import Disturbed, Fault
from stockade.lab.site import needs as names

Inject = Callable[[Disturbed], Awaitable[Sequence[str]]]
Heal = Callable[[Disturbed], Awaitable[Sequence[str] | None]]
_REDIS = {names.REDIS, names.REDIS_ALWAYS, names.REDIS_EVERYSEC, names.REPLICA, names.LINK_REDIS}
_KAFKA = {names.KAFKA, names.LINK_KAFKA}
_SERVER = {names.DATABASE_SERVER, names.LINK_DATABASE}


def make_fault(
    name: str,
    summary: str,
    inject: Inject,
    heal: Heal,
    *,
    needs: frozenset[str] = frozenset(),
    covered_by: tuple[str, ...] = (),
    recovery_s: float = 10.0,
    fault_points: bool = False,
    must_fail: tuple[str, ...] = (),
    least_wait_s: float = 0.0,
    touches: tuple[str, ...],
    exclusive: tuple[str, ...] = (),
    ends_it: bool = False,
    stops_processes: bool = False,
    needs_service: bool = False,
) -> Fault:
    """A fault whose needs say where it is impossible; the parameters are those of `Fault`."""
    return Fault(
        name,
        summary,
        inject,
        heal,
        covered_by=covered_by,
        needs=needs,
        recovery_s=recovery_s,
        fault_points=fault_points,
        must_fail=must_fail,
        least_wait_s=least_wait_s,
        touches=frozenset(touches),
        exclusive=frozenset(exclusive),
        ends_it=ends_it,
        stops_processes=stops_processes,
        needs_service=needs_service or fault_points,
        impossible=partial(why_not, needs),
    )


def why_not(needs: frozenset[str], strategy: str, database: str) -> str:
    """Why a fault with these needs cannot happen; empty: it can.

    Args:
        needs: names of `site/needs.py`.
        strategy: name of a contender, e.g. `redis-pubsub:bare`.
        database: `sqlite`, `postgres`, `mariadb` or `mysql`.
    """
    uses = _uses(strategy)
    if database == "sqlite" and needs & _SERVER:
        return "SQLite is a file: there is no server and no link to it"
    if needs & _REDIS and "redis" not in uses:
        return f"{strategy} does not use redis"
    if needs & _KAFKA and "kafka" not in uses:
        return f"{strategy} does not use kafka"
    if names.LINKS in needs and database == "sqlite" and not uses:
        return "SQLite is a file, and the strategy uses no server: there is no link"
    return names.missing_tools(needs)


def _uses(strategy: str) -> tuple[str, ...]:
    try:
        return Contender.parse(strategy).guarantees.needs
    except LabError:  # a strategy of the user's own, which names no server of ours
        return ()
