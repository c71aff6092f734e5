"""A quorum of three Redis servers (Redlock) under a pause, a clock that jumps, and a restart without its data.

In each case two callers hold the lock at once, and a fencing token at the resource refuses the late one. (Kleppmann,
"How to do distributed locking", 2016.) A control without any fault has one holder. The
paused holder is one that does not look at its clock; `stockade lab --fault pause` stops a real process.
"""

import asyncio
import time

from stockade.core import JsonValue
from stockade.devservers import Server
from stockade.lab.claims.claim import HOLDS_ONLY_WHEN, JAVA, Claim, Measured, Tools
from stockade.locks import LockUnavailable
from stockade.locks.aio import QuorumLocks, RedisTuning
from stockade.locks.async_api import Lease
from stockade.locks.fencing import FenceRefused, MemoryFence
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

SERVERS, LEASE_S, TRY_S, CALL_S = 3, 1.0, 3.0, 2.0
PATIENT, IMPATIENT = RedisTuning(call_s=1.0, spin_s=0.02), RedisTuning(call_s=0.5, spin_s=0.02, patience_s=1.0)
NOT_LATE, REFUSED, ACCEPTED = "was not late", "was refused by its token", "was ACCEPTED"
CASES = (
    "no fault (control)",
    "holder paused beyond its lease",
    "clock of two servers jumps (all their keys expire)",
    "two servers restart empty",
)


async def run(tools: Tools) -> Measured:
    """Play each fault, and the control."""
    servers = [tools.private_redis() for _ in range(SERVERS)]
    lines, figures, right = list[str](), dict[str, JsonValue](), list[bool]()
    try:
        for case in CASES:
            two, late = await _second_holder(tools, servers, case)
            lines.append(f"{case}: {'two held it at once' if two else 'one held it'}; the late write {late}")
            figures[case] = {"two_holders": two, "refused": late == REFUSED}
            right.append((two, late) == ((False, NOT_LATE) if case == CASES[0] else (True, REFUSED)))
        minority, majority = await _paused_servers(tools, servers)
        lines.append(f"one of three servers paused: {'granted' if minority else 'not granted'}")
        lines.append(f"two of three servers paused: {'granted' if majority else 'not granted'}")
        figures["granted_while_paused"] = {"one server": minority, "two servers": majority}
    finally:
        for server in servers:
            server.end()
    why = "nobody is paused beyond the lease, no clock jumps and no server forgets; otherwise the resource must check"
    return Measured(tuple(lines), HOLDS_ONLY_WHEN, why, all(right) and minority and not majority, figures)


async def _second_holder(tools: Tools, servers: list[Server], case: str) -> tuple[bool, str]:
    """Whether a second caller has the lock while the first believes that it has it; and the fate of the late write."""
    urls, name = [server.url for server in servers], tools.name("quorum")
    # the paused holder renews nothing; a clock that jumps and a restart happen within its lease
    lease_s, paused = (LEASE_S, True) if case == CASES[1] else (10 * LEASE_S, False)
    first, second = (QuorumLocks(urls, PATIENT, lease_s=lease_s) for _ in range(2))
    fence = MemoryFence()
    try:
        mine = await first.lock(name, renew=False, on_lost="raise").acquire(timeout=TRY_S)
        assert mine is not None
        fence.install(mine)
        believed_until = time.monotonic() + lease_s
        if case == CASES[2]:
            await asyncio.gather(*(_forget(server) for server in servers[:2]))
        elif case == CASES[3]:
            await asyncio.gather(*(asyncio.to_thread(_restart, server) for server in servers[:2]))
        other = await second.lock(name, renew=False, on_lost="raise").acquire(
            timeout=TRY_S if case != CASES[0] else 0.5
        )
        # a paused holder does not look at its clock: it goes on where it stopped
        two = other is not None and (paused or time.monotonic() < believed_until)
        return two, NOT_LATE if other is None else _late_write(fence, mine, other)
    finally:
        await first.close()
        await second.close()


def _late_write(fence: MemoryFence, mine: Lease, other: Lease) -> str:
    """What the resource does with a write of the first holder once the second has been there."""
    fence.install(other)
    try:
        fence.install(mine)
    except FenceRefused:
        return REFUSED
    return ACCEPTED


async def _forget(server: Server) -> None:
    """What a clock that jumps by more than the lease does: every key has expired."""
    transport = MultiplexedTransport(server.url)
    try:
        await transport.call("FLUSHALL", timeout_s=CALL_S)
    finally:
        await transport.close()


def _restart(server: Server) -> None:
    server.kill()
    server.restart()


async def _paused_servers(tools: Tools, servers: list[Server]) -> tuple[bool, bool]:
    """Whether the lock is granted while one, and while two of the servers are stopped."""
    granted = list[bool]()
    for count in (1, 2):
        locks = QuorumLocks([server.url for server in servers], IMPATIENT)
        for server in servers[:count]:
            server.pause()
        try:
            granted.append(await _granted(locks, tools.name("paused")))
        finally:
            for server in servers[:count]:
                server.resume()
            await locks.close()
    return granted[0], granted[1]


async def _granted(locks: QuorumLocks, name: str) -> bool:
    try:
        lease = await locks.lock(name, lease_s=LEASE_S).acquire(timeout=TRY_S / 2)
    except LockUnavailable:
        return False
    return lease is not None


CLAIM = Claim(
    "quorum",
    "RedLock: a majority of servers makes the lock safe, but for clock drift and pauses.",
    JAVA,
    run,
    needs=frozenset({"redis"}),
)
