"""redis-py's `Lock`, drop-in: `client.lock("name", timeout=10, lock_class=Lock)`.

Subclasses of redis-py's own: signatures, errors, storage (the token as plain string at the name, no TTL without
`timeout`) and polling are its own, so both kinds may run side by side. Different: cancelling or interrupting `acquire`
leaves no key behind, a repeated or lost reply does no harm, an unanswered `release` can be called again, and in
asyncio the token belongs to the task. Fairness, renewal and fencing tokens come with `RedisLocks`.
"""

import asyncio
import contextlib
from typing import Any, Literal

from redis.asyncio.lock import Lock as TheirAsyncLock
from redis.exceptions import LockNotOwnedError, RedisError
from redis.lock import Lock as TheirLock

from stockade.locks.blocking import run
from stockade.locks.errors import LockUnavailable
from stockade.locks.identity import new_id
from stockade.locks.script import script
from stockade.locks.wire.client import AsyncClientTransport, ClientTransport

_CALL_S = 5.0


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _call_of(lock: Any, verb: str, *args: Any) -> tuple[Any, ...]:
    """The command that runs one of our scripts on the lock's key."""
    key = bytes(lock.name) if isinstance(lock.name, memoryview) else lock.name
    return "EVAL", script(f"compat_{verb}").text, 1, key, *args


def _acquire_call(lock: Any, token: Any) -> tuple[Any, ...]:
    return _call_of(lock, "acquire", token, int(lock.timeout * 1000) if lock.timeout else 0)


def _extend_call(lock: Any, additional_time: float, replace_ttl: bool) -> tuple[Any, ...]:
    return _call_of(lock, "extend", lock.local.token, int(additional_time * 1000), "1" if replace_ttl else "0")


def _owned_or_raise(lock: Any, answer: Any, doing: str) -> Literal[True]:
    if int(answer) != 1:
        name = lock.name if isinstance(lock.name, str) else bytes(lock.name).decode()
        raise LockNotOwnedError(f"Cannot {doing} a lock that's no longer owned", lock_name=name)
    return True


class _TaskLocal:
    """One token per task, as `threading.local` has one per thread.

    A token whose task has ended goes to the next task that asks: `asyncio.wait_for(lock.acquire(), 1)` acquires in a
    task of its own before Python 3.12.
    """

    def __init__(self) -> None:
        self._tokens: dict[asyncio.Task[Any] | None, bytes] = {}

    @property
    def token(self) -> bytes | None:
        me = _current_task()
        if me not in self._tokens:
            ended = next((task for task in self._tokens if task is not None and task.done()), None)
            if ended is not None:
                self._tokens[me] = self._tokens.pop(ended)
        return self._tokens.get(me)

    @token.setter
    def token(self, value: bytes | None) -> None:
        me = _current_task()
        if value is None:
            self._tokens.pop(me, None)
        else:
            self._tokens[me] = value


def _current_task() -> "asyncio.Task[Any] | None":
    """The running task; None outside of a loop, where redis-py allows to make a lock and to look at its token."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Lock(TheirLock):
    """redis-py's `redis.lock.Lock`; arguments, results and errors are documented there."""

    def register_scripts(self) -> None:
        """At the end of the making of a lock: the way to the server."""
        self._transport = ClientTransport(self.redis, own=False)

    def _call(self, parts: tuple[Any, ...]) -> Any:
        try:
            return run(self._transport.call(*parts, timeout_s=_CALL_S))
        except LockUnavailable as error:
            raise error.__cause__ or error from None

    def acquire(
        self,
        sleep: float | None = None,
        blocking: bool | None = None,
        blocking_timeout: float | None = None,
        token: str | None = None,
    ) -> bool:
        """Poll until the lock is ours (True) or the time is up (False)."""
        mine: Any = new_id().encode() if token is None else self.redis.get_encoder().encode(token)
        try:
            return bool(super().acquire(sleep, blocking, blocking_timeout, mine))
        except BaseException as error:  # Ctrl-C, or a reply that never came: the key may be there
            with contextlib.suppress(RedisError, OSError):
                self._call(_call_of(self, "release", mine))
            raise error

    def do_acquire(self, token: Any) -> bool:
        """One try, safe to repeat."""
        return bool(self._call(_acquire_call(self, token)))

    def release(self) -> None:
        """Give it back; the token is kept until the server has answered."""
        token = self.local.token
        if token is None:
            return super().release()  # raises
        try:
            self.do_release(token)
        except LockNotOwnedError:
            self.local.token = None
            raise
        self.local.token = None
        return None

    def do_release(self, expected_token: Any) -> None:
        """Release by token."""
        _owned_or_raise(self, self._call(_call_of(self, "release", expected_token)), "release")

    def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Add to what is left, or replace it."""
        return _owned_or_raise(self, self._call(_extend_call(self, additional_time, replace_ttl)), "extend")

    def do_reacquire(self) -> Literal[True]:
        """Start the full timeout anew."""
        return _owned_or_raise(self, self._call(_extend_call(self, self.timeout or 0, True)), "reacquire")


class AsyncLock(TheirAsyncLock):
    """redis-py's `redis.asyncio.lock.Lock`; arguments, results and errors are documented there."""

    def register_scripts(self) -> None:
        """At the end of the making of a lock: the way to the server, and a token for each task."""
        self._transport = AsyncClientTransport(self.redis, own=False)
        self._cleaning: set[asyncio.Task[Any]] = set()
        if self.thread_local:
            self.local: Any = _TaskLocal()

    async def _call(self, parts: tuple[Any, ...]) -> Any:
        try:
            return await self._transport.call(*parts, timeout_s=_CALL_S)
        except LockUnavailable as error:
            raise error.__cause__ or error from None

    async def acquire(
        self, blocking: bool | None = None, blocking_timeout: float | None = None, token: str | bytes | None = None
    ) -> bool:
        """Poll until the lock is ours (True) or the time is up (False)."""
        mine = new_id().encode() if token is None else _bytes(token)
        try:
            return bool(await super().acquire(blocking, blocking_timeout, mine))
        except BaseException:  # cancelled, or a reply that never came: the key may be there
            cleaning = asyncio.create_task(self._withdraw(mine))
            self._cleaning.add(cleaning)
            cleaning.add_done_callback(self._cleaning.discard)
            raise

    async def _withdraw(self, token: bytes) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._call(_call_of(self, "release", token))

    async def do_acquire(self, token: Any) -> bool:
        """One try, safe to repeat."""
        return bool(await self._call(_acquire_call(self, token)))

    async def do_release(self, expected_token: Any) -> None:
        """Release by token."""
        _owned_or_raise(self, await self._call(_call_of(self, "release", expected_token)), "release")

    async def do_extend(self, additional_time: float, replace_ttl: bool) -> Literal[True]:
        """Add to what is left, or replace it."""
        return _owned_or_raise(self, await self._call(_extend_call(self, additional_time, replace_ttl)), "extend")

    async def do_reacquire(self) -> Literal[True]:
        """Start the full timeout anew."""
        return _owned_or_raise(self, await self._call(_extend_call(self, self.timeout or 0, True)), "reacquire")
