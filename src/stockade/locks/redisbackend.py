"""Locks on one Redis server: fair by a queue inside the server, or spinning.

Fair: one script takes the lock or stands in line; the releaser's script makes the head live waiter the owner and
wakes it alone, so that a hand-over costs two requests however many wait (measured; Redisson's fair lock
needs 7). A notice is only ever a hint that saves time: every waiter asks again now and then, so a lost one costs
at most `poll_s`. Neighbours: `scripts/*.lua` (the rules), `waitroom.py` (who waits here), `wire/` (connections).
"""

import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stockade.locks.ask import Ask, Granted, Kind, LockInfo, Spec
from stockade.locks.errors import LockUnavailable
from stockade.locks.port import Port, Server
from stockade.locks.rediscalls import Verb, channel_of, prepared
from stockade.locks.redisnames import lease_ms, names_of
from stockade.locks.script import script
from stockade.locks.survey import Survey, info_of, survey
from stockade.locks.waitroom import Wait, WaitRoom
from stockade.locks.wire.transport import Transport

_LINE_MS = 60_000
_WITHDRAWALS = 6
_PLAINLY = (0, 0)  # do not leave the line, do not take it from another


@dataclass(frozen=True, slots=True)
class RedisTuning:
    """Times of the Redis provider.

    Attributes:
        prefix: put before every name.
        spin_s: mean pause between two tries of a lock that is not fair (seed 004: 10 ms), jittered by half.
        poll_s: how often a waiter asks again although no notice came; a lost notice costs at most this.
        call_s: how long one call may take.
        patience_s: how long an unreachable server is tried again before LockUnavailable.
        wait_replicas: how many replicas must have a grant before it counts (WAIT); 0: none.
    """

    prefix: str = ""
    spin_s: float = 0.010
    poll_s: float = 1.0
    call_s: float = 2.0
    patience_s: float = 3.0
    wait_replicas: int = 0


class RedisBackend:
    """Mutexes, read/write locks and semaphores on one server."""

    needs_lease = True
    repeats_release = False

    def __init__(self, port: Port, transport: Transport, tuning: RedisTuning) -> None:
        self._port = port
        self._server = transport
        self._tuning = tuning
        self._room = WaitRoom(port, transport, channel_of(tuning.prefix))

    # -- acquire --------------------------------------------------------------------------------------------------

    async def acquire(self, ask: Ask, deadline: float) -> Granted | None:
        try:
            if not ask.spec.fair:
                granted = await self._spin(ask, deadline)
            elif self._room.listening and deadline > self._port.now():
                granted = await self._wait_turn(ask, deadline)
            else:
                granted = await self._try_first(ask, deadline)
            if granted is not None and self._tuning.wait_replicas:
                granted = await self._replicated(ask, granted)
        except BaseException:
            self._port.finish(self._withdraw(ask))
            raise
        return granted

    async def _spin(self, ask: Ask, deadline: float) -> Granted | None:
        while True:
            sent = self._port.now()
            answer = await self._patiently(ask, sent, deadline, queue=False)
            if answer > 0:
                return Granted(answer, sent + ask.spec.lease_s)
            now = self._port.now()
            if now >= deadline:
                return None
            pause_s = self._tuning.spin_s * random.uniform(0.5, 1.5)
            await self._port.sleep(min(pause_s, deadline - now))

    async def _try_first(self, ask: Ask, deadline: float) -> Granted | None:
        """One try; stand in line after it only if there is time, and once this process can hear notices."""
        sent = self._port.now()
        answer = await self._patiently(ask, sent, deadline, queue=False)
        if answer > 0:
            return Granted(answer, sent + ask.spec.lease_s)
        if deadline <= sent:
            return None
        await self._listen(deadline)
        return await self._wait_turn(ask, deadline)

    async def _listen(self, deadline: float) -> None:
        end = min(deadline, self._port.now() + self._tuning.patience_s)
        while True:
            try:
                return await self._room.listen(self._tuning.call_s)
            except LockUnavailable:
                if self._port.now() >= end:
                    raise
            await self._port.sleep(0.05)

    async def _wait_turn(self, ask: Ask, deadline: float) -> Granted | None:
        """Take the lock, or stand in line and wait for the notice."""
        wait = self._room.enter(ask)
        try:
            sent = self._port.now()
            beat = wait.needs_beat(min(self._tuning.poll_s, ask.spec.lease_s / 2))
            answer = await self._patiently(ask, sent, deadline, queue=True, beat=beat)
            if answer > 0:
                return Granted(answer, sent + ask.spec.lease_s)
            granted = await self._sleep_in_line(wait, (sent, answer, beat), deadline)
        finally:
            self._room.leave(wait)
        if granted is None:  # in line, or granted in this very moment: leave both
            await self._withdraw(ask)
        return granted

    async def _sleep_in_line(self, wait: Wait, told: tuple[float, int, bool], deadline: float) -> Granted | None:
        """Sleep until the notice, the next question or the deadline, whichever is first.

        `told`: when the server was asked, what it answered, whether that call was a sign of life.
        """
        ask, line = wait.ask, self._room.stand_in_line(wait)
        poll_s = min(self._tuning.poll_s, ask.spec.lease_s / 2)
        asked, answer, beat = told
        while True:
            if beat:
                line.was_beat(asked)
            ask_at = asked + (poll_s if answer == 0 else min(poll_s, -answer / 1000 + 0.002))
            while True:
                now = self._port.now()
                if wait.token and now - asked <= ask.spec.lease_s / 2:
                    # granted after `asked`, when we were still told to wait: the lease counts from there
                    return Granted(wait.token, asked + ask.spec.lease_s)
                if wait.token:  # too long ago to know how much of the lease is left: asking begins it anew
                    wait.token = 0
                    break
                if now >= deadline:
                    return None
                if wait.recheck or (now >= ask_at and (wait.is_first or now >= asked + 4 * poll_s)):
                    wait.recheck = False
                    break
                await wait.pause(min(deadline, max(ask_at, now + 0.25 * poll_s)) - now)
            asked, beat = self._port.now(), True
            answer = await self._patiently(ask, asked, deadline, queue=True, again=True, beat=True)
            if answer > 0:
                return Granted(answer, asked + ask.spec.lease_s)

    async def _patiently(
        self, ask: Ask, sent: float, deadline: float, *, queue: bool, again: bool = False, beat: bool = False
    ) -> int:
        """One run of the acquire script, repeated while the server is out of reach (the script is safe to repeat)."""
        give_up = min(deadline, sent + self._tuning.patience_s)
        beat_ms = round(3000 * self._tuning.poll_s) if beat else 0
        while True:
            try:
                return int(await self._run(ask, "acquire", (int(queue), int(again), beat_ms, _LINE_MS)))
            except LockUnavailable as error:
                if self._port.now() >= give_up:
                    error.lock_name = ask.spec.name
                    raise
            again = True
            await self._port.sleep(0.05 * random.uniform(0.5, 1.5))

    def _run(self, ask: Ask, verb: Verb, flags: tuple[int, ...]) -> Coroutine[Any, Any, Any]:
        """Run one of the scripts that take a single lock."""
        tuning = self._tuning
        return prepared(tuning.prefix, ask.spec, verb, flags).run(self._server, ask.owner, tuning.call_s)

    async def _server_of(self, name: str) -> Server:
        """Where this lock lives."""
        return self._server

    async def _replicated(self, ask: Ask, granted: Granted) -> Granted:
        """A write of our own, then WAIT: replication is one stream, so the grant before it has arrived as well."""
        sent, wanted = self._port.now(), self._tuning.wait_replicas
        if await self.extend([ask], self._tuning.call_s) != [True]:
            raise LockUnavailable("the grant was lost before it was replicated", ask.spec.name)
        bound_ms = round(min(self._tuning.call_s, ask.spec.lease_s) * 500)
        server = await self._server_of(ask.spec.name)
        have = int(await server.call("WAIT", wanted, bound_ms, timeout_s=self._tuning.call_s))
        if have < wanted:
            raise LockUnavailable(f"{have} of {wanted} replicas have the grant", ask.spec.name)
        return replace(granted, valid_until=sent + ask.spec.lease_s)

    # -- release --------------------------------------------------------------------------------------------------

    async def release(self, ask: Ask) -> bool:
        return int(await self._run(ask, "release", _PLAINLY)) == 1

    async def _give_back(self, ask: Ask, *, line: bool = False, force: bool = False) -> bool:
        return int(await self._run(ask, "release", (int(line), int(force)))) == 1

    async def _withdraw(self, ask: Ask) -> None:
        """Leave line and lock, whichever we are in. Same connection, so it comes after what was sent before."""
        pause_s = 0.05
        for _ in range(_WITHDRAWALS):
            try:
                await self._give_back(ask, line=True)
            except LockUnavailable:  # what is left then: a lease that nobody renews, and a line entry that times out
                await self._port.sleep(pause_s)
                pause_s *= 2
            else:
                return

    # -- the rest -------------------------------------------------------------------------------------------------

    async def extend(self, asks: Sequence[Ask], timeout_s: float) -> list[bool | None]:
        mutexes = [ask for ask in asks if ask.spec.kind == "lock"]
        kept: dict[str, bool | None] = {}
        if mutexes:
            names = [names_of(self._tuning.prefix, ask.spec.name, "lock").keys for ask in mutexes]
            keys = tuple(key for four in names for key in (four[0], four[3]))
            args = tuple(part for ask in mutexes for part in (ask.owner, lease_ms(ask.spec.lease_s)))
            answers = await script("mutex_renew").run(self._server, keys, args, min(timeout_s, self._tuning.call_s))
            kept = {ask.owner: answer == 1 for ask, answer in zip(mutexes, answers, strict=True)}
        for ask in asks:
            if ask.spec.kind != "lock":
                kept[ask.owner] = await self._extend_share(ask, timeout_s)
        return [kept[ask.owner] for ask in asks]

    async def _extend_share(self, ask: Ask, timeout_s: float) -> bool:
        call = prepared(self._tuning.prefix, ask.spec, "renew", ())
        return int(await call.run(self._server, ask.owner, min(timeout_s, self._tuning.call_s))) == 1

    async def inspect(self, name: str, kind: Kind) -> LockInfo:
        return info_of(name, kind, await self._run(Ask(Spec(name, kind), "-"), "inspect", ()))

    async def survey(self, max_keys: int) -> Survey:
        """Which locks of this prefix are in use, after at most `max_keys` keys of the server."""
        return await survey(self._server, self._tuning.prefix, max_keys=max_keys, timeout_s=self._tuning.call_s)

    async def break_(self, name: str, kind: Kind) -> bool:
        return await self._give_back(Ask(Spec(name, kind), "-.-"), force=True)

    async def raise_fence(self, name: str, at_least: int) -> None:
        fence = names_of(self._tuning.prefix, name, "lock").keys[2]
        await script("raise_fence").run(self._server, (fence,), (at_least,), self._tuning.call_s)

    async def close(self) -> None:
        await self._server.close()
