"""The network between the service processes and their servers: late, uneven, silent, cut, in pieces, half closed.

Each condition exists for every link at once (`latency`) and for one (`latency-redis`). It has hit a link if it touched
bytes there (late, in pieces, dropped) or ended a connection; what, is said when it is healed. The link between a Redis
and its replica is in `redis_failover.py`. No negative control has to fail here; a bare lock may, when its renewals are
lost.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from stockade.devservers.tcp_proxy import Conditions
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import LINKS as EVERY_LINK
from stockade.lab.recording.fault import Disturbed, Fault
from stockade.lab.site.link import Disturbance, Link
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
    disturbance: Disturbance
    recovery_s: float = 5.0


CONDITIONS = (
    Condition(
        "latency",
        f"everything arrives {LATENCY_S * 1_000:.0f} ms later",
        Disturbance(Conditions(latency_s=LATENCY_S)),
    ),
    Condition(
        "jitter",
        f"everything arrives up to {JITTER_S * 1_000:.0f} ms later, unevenly",
        Disturbance(Conditions(jitter_s=JITTER_S)),
    ),
    Condition("blackhole", "nothing arrives, and no side learns of it", Disturbance(silent=True), 10.0),
    Condition(
        "reset", "all connections are reset each second", Disturbance(repeated=lambda link: link.cut(), every_s=EVERY_S)
    ),
    Condition("refuse", "all connections are reset, and new ones refused", Disturbance(refusing=True), 10.0),
    Condition(
        "slice",
        f"everything arrives in pieces of {PIECE_BYTES} bytes",
        Disturbance(Conditions(piece_bytes=PIECE_BYTES)),
    ),
    Condition(
        "narrow",
        f"{BYTES_PER_S / 1_000:.0f} kB/s in each direction of a connection",
        Disturbance(Conditions(bytes_per_s=BYTES_PER_S)),
    ),
    Condition(
        "half-close",
        "each second the servers' ends of all connections close, and their other ends stay open",
        Disturbance(repeated=lambda link: link.half_close(), every_s=EVERY_S),
    ),
)


async def _inject(disturbed: Disturbed, *, fault: str, condition: Condition, place: str) -> Sequence[str]:
    """Begin it. A link through which nothing passes is not hit: so the healing says what was."""
    for link in _links(disturbed, place):
        await link.disturb(fault, condition.disturbance)
    return ()


async def _heal(disturbed: Disturbed, *, fault: str, place: str) -> Sequence[str]:
    hit = []
    for link in _links(disturbed, place):
        if touched := await link.undisturb(fault):
            hit.append(f"link {link.name}: {touched}")
        else:
            disturbed.note(f"nothing that it could touch was on the link {link.name}")
    return hit


def _links(disturbed: Disturbed, place: str) -> list[Link]:
    return [link for name, links in disturbed.site.links.items() if place in ("", name) for link in links]


def _faults() -> Iterator[Fault]:
    for condition in CONDITIONS:
        for place, need in [("", LINKS), *PLACES.items()]:
            name = f"{condition.name}-{place}" if place else condition.name
            yield make_fault(
                name,
                f"{f'link to {place}' if place else 'every link'}: {condition.summary}",
                partial(_inject, fault=name, condition=condition, place=place),
                partial(_heal, fault=name, place=place),
                needs=frozenset({need}),
                recovery_s=condition.recovery_s,
                exclusive=(EVERY_LINK,),  # a silent one hides that it is late
                touches=tuple(f"link to {each}" for each in ([place] if place else PLACES)),
                ends_it=condition.disturbance.silent or condition.disturbance.refusing,
            )


FAULTS = tuple(_faults())
