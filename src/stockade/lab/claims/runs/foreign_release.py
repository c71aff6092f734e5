"""Only the one that took a lock can release it: refused here; the spin lock of the report deletes anybody's."""

import asyncio

from stockade.core import JsonValue
from stockade.lab.claims.claim import HOLDS_ONLY_WHEN, KOTLIN, Claim, Measured, Tools
from stockade.locks import LockNotOwned
from stockade.locks.aio import RedisLocks
from stockade.locks.lock_base import Detached
from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

CALL_S, LIFETIME_MS, WAIT_S = 2.0, 3000, 5.0


async def run(tools: Tools) -> Measured:
    """Release what another holds, in three ways."""
    stolen = await _plain_delete(tools)
    by_task, by_token, still_held = await _owned(tools)
    lines = (
        f"SET NX with the text `lock` and a plain DEL (control): the lock of another is {'gone' if stolen else 'kept'}",
        f"release by a task that does not hold it: {by_task or 'accepted'}",
        f"release with another owner id, from another process's provider: {by_token or 'accepted'}",
        f"the holder {'still has' if still_held else 'has lost'} it afterwards",
    )
    expected = stolen and by_task == by_token == "LOCK_NOT_OWNED" and still_held
    figures: dict[str, JsonValue] = {"refused": [by_task, by_token], "plain_delete_steals": stolen}
    why = "each holder has an id of its own and the server compares it; a fixed text is anybody's"
    return Measured(lines, HOLDS_ONLY_WHEN, why, expected, figures)


async def _plain_delete(tools: Tools) -> bool:
    """Whether the report's release frees the lock of somebody else."""
    transport, name = MultiplexedTransport(tools.redis_url), tools.name("plain")
    try:
        await transport.call("SET", name, "lock", "NX", "PX", LIFETIME_MS, timeout_s=CALL_S)
        await transport.call("DEL", name, timeout_s=CALL_S)  # another caller, at the end of its own late work
        return bool(await transport.call("SET", name, "lock", "NX", "PX", LIFETIME_MS, timeout_s=CALL_S))
    finally:
        await transport.call("DEL", name, timeout_s=CALL_S)
        await transport.close()


async def _owned(tools: Tools) -> tuple[str, str, bool]:
    """What a release by another task, and one with another owner id, is told; whether the holder still has it."""
    mine, others = RedisLocks(tools.redis_url, lease_s=LIFETIME_MS / 1000), RedisLocks(tools.redis_url)
    name = tools.name("owned")
    try:
        lease = await mine.lock(name).acquire(timeout=WAIT_S)
        assert lease is not None
        by_task = await _refusal(asyncio.create_task(mine.lock(name).release()))
        forged = Detached(name, f"{lease.token[:-1]}x", lease.fencing_token)
        by_token = await _refusal(asyncio.create_task(_adopt(others, forged)))
        still_held = lease.alive and (await others.lock(name).inspect()).locked
        await lease.release()
    finally:
        await mine.close()
        await others.close()
    return by_task, by_token, still_held


async def _adopt(locks: RedisLocks, forged: Detached) -> None:
    await (await locks.lock(forged.name).adopt(forged)).release()


async def _refusal(release: "asyncio.Task[None]") -> str:
    try:
        await release
    except LockNotOwned as error:
        return error.code
    return ""


CLAIM = Claim(
    "foreign-release",
    "Only the one that took the lock can release it.",
    KOTLIN,
    run,
    needs=frozenset({"redis"}),
)
