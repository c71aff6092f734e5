"""The network between the service processes and their servers: late, uneven, silent, cut, in pieces, half closed.

Each condition exists for every link at once (`latency`) and for one (`latency-redis`). The link between a Redis and its
replica is in `redis_failover.py`. No negative control has to fail here; a bare lock may, when its renewals are lost.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NamedTuple

from stockade.devservers.tcp_proxy import Conditions, TcpProxy
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed, Fault
from stockade.lab.site.needs import LINK_DATABASE, LINK_KAFKA, LINK_REDIS, LINKS

LATENCY_S, JITTER_S = 0.05, 0.1
PIECE_BYTES = 16
BYTES_PER_S = 100_000.0
EVERY_S = 1.0
PLACES = {"database": LINK_DATABASE, "redis": LINK_REDIS, "kafka": LINK_KAFKA}


class Condition(NamedTuple):
    """One way to disturb a link, and the time within which the service is as fast as before once it ends."""

    name: str
    summary: str
    begin: Callable[[TcpProxy], None]
    recovery_s: float = 5.0


def _late(link: TcpProxy) -> None:
    link.set_conditions(Conditions(latency_s=LATENCY_S))


def _uneven(link: TcpProxy) -> None:
    link.set_conditions(Conditions(jitter_s=JITTER_S))


def _in_pieces(link: TcpProxy) -> None:
    link.set_conditions(Conditions(piece_bytes=PIECE_BYTES))


def _narrow(link: TcpProxy) -> None:
    link.set_conditions(Conditions(bytes_per_s=BYTES_PER_S))


def _refused(link: TcpProxy) -> None:
    link.refuse()
    link.cut()


CONDITIONS = (
    Condition("latency", f"everything arrives {LATENCY_S * 1_000:.0f} ms later", _late),
    Condition("jitter", f"everything arrives up to {JITTER_S * 1_000:.0f} ms later, unevenly", _uneven),
    Condition("blackhole", "nothing arrives, and no side learns of it", TcpProxy.swallow, 10.0),
    Condition("reset", "all connections are reset each second", lambda link: link.repeat(EVERY_S, link.cut)),
    Condition("refuse", "all connections are reset, and new ones refused", _refused, 10.0),
    Condition("slice", f"everything arrives in pieces of {PIECE_BYTES} bytes", _in_pieces),
    Condition("narrow", f"{BYTES_PER_S / 1_000:.0f} kB/s in each direction of a connection", _narrow),
    Condition(
        "half-close",
        "each second the servers' ends of all connections close, and their other ends stay open",
        lambda link: link.repeat(EVERY_S, link.half_close),
    ),
)


async def _inject(disturbed: Disturbed, *, condition: Condition, place: str) -> None:
    for link in _links(disturbed, place):
        condition.begin(link)
    disturbed.note(f"links to: {place or ', '.join(disturbed.site.links)}")


async def _heal(disturbed: Disturbed, *, place: str) -> None:
    for link in _links(disturbed, place):
        await link.restore()


def _links(disturbed: Disturbed, place: str) -> list[TcpProxy]:
    return [link for name, links in disturbed.site.links.items() if place in ("", name) for link in links]


def _faults() -> Iterator[Fault]:
    for condition in CONDITIONS:
        for place, need in [("", LINKS), *PLACES.items()]:
            heal: Callable[[Disturbed], Awaitable[None]] = partial(_heal, place=place)
            yield make_fault(
                f"{condition.name}-{place}" if place else condition.name,
                f"{f'link to {place}' if place else 'every link'}: {condition.summary}",
                partial(_inject, condition=condition, place=place),
                heal,
                needs=frozenset({need}),
                recovery_s=condition.recovery_s,
            )


FAULTS = tuple(_faults())
