"""What one contract test works with: providers, actors, and ways to wait for what another actor does."""

import asyncio
import functools
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from stockade.locks.testing.contract.actors import TaskActor, ThreadActor

Actor: TypeAlias = TaskActor | ThreadActor
_LOOK_AGAIN_S = 0.005


class World:
    """The providers and actors of one test.

    Args:
        make: makes a provider, as another process would.
        in_process: the locks live in the provider object, so that every caller needs the same one.
    """

    def __init__(self, make: Callable[[], Any], *, in_process: bool = False) -> None:
        self.make = make
        self.in_process = in_process
        self.actors: list[Actor] = []
        self.providers: list[Any] = []

    @property
    def is_async(self) -> bool:
        """Whether the provider is one for asyncio."""
        if not self.providers:
            self.provider()
        return inspect.iscoroutinefunction(self.providers[0].close)

    def provider(self) -> Any:
        """A provider of its own; the first one again where the locks live in the object."""
        if not (self.in_process and self.providers):
            self.providers.append(self.make())
        return self.providers[-1]

    def actor(self) -> Actor:
        """A new task or thread, whichever the provider is for."""
        self.actors.append(TaskActor() if self.is_async else ThreadActor())
        return self.actors[-1]

    async def close(self) -> None:
        """Close the providers, then end the actors."""
        closer = self.actor()
        for provider in self.providers:
            await closer(provider.close)
        for actor in self.actors:
            await actor.close()


async def queued(world: Any, lock: Any, number: int) -> None:
    """Return when `lock.inspect`, called by a new actor of `world`, shows that many waiters."""
    probe = world.actor()

    async def enough() -> bool:
        return len((await probe(lock.inspect)).waiters) >= number

    await eventually(enough)


async def eventually(condition: Callable[[], Any], within_s: float = 5.0) -> None:
    """Return when `condition()`, or what it awaits, is true; fail after `within_s` seconds."""
    end = time.monotonic() + within_s
    while True:
        value = condition()
        if await value if isinstance(value, Awaitable) else value:
            return
        assert time.monotonic() < end, f"not within {within_s} s: {condition}"
        await asyncio.sleep(_LOOK_AGAIN_S)


async def waiting(call: "asyncio.Future[Any]", for_s: float = 0.03) -> bool:
    """Whether the call is still in flight `for_s` seconds later."""
    done, _ = await asyncio.wait([call], timeout=for_s)
    return not done


@contextmanager
def raises(kind: type[BaseException], match: str = "") -> Iterator[list[Any]]:
    """The block must raise `kind` with a text that matches the pattern. Gives a list that then has the error."""
    caught: list[Any] = []
    try:
        yield caught
    except kind as error:
        if not re.search(match, str(error)):
            raise AssertionError(f"{error!r} does not match {match!r}") from error
        caught.append(error)
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


class ContractBase:
    """What a provider's author says about the provider; see `LockContract`."""

    fair = True
    shared = True
    needs_lease = True
    in_process = False
    shows_held_s = True
    close_ends_leases = False
    limit_s = 60.0

    def make_provider(self) -> Any:
        """A provider of the kind that is tested; its locks are those of every other one that this makes."""
        raise NotImplementedError

    async def run_in_world(self, test: Callable[[Any, World], Coroutine[Any, Any, None]]) -> None:
        """Run one test with providers and actors of its own."""
        world = World(self.make_provider, in_process=self.in_process)
        try:
            async with asyncio.timeout(self.limit_s):  # a wait that does not end fails the test
                await test(self, world)
        finally:
            await world.close()


def contract_test(test: Callable[[Any, World], Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """Make a plain test method of a coroutine that takes a `World`, for pytest and unittest alike."""

    @functools.wraps(test)
    def run(self: ContractBase) -> None:
        asyncio.run(self.run_in_world(test))

    del run.__wrapped__  # pytest would take `world` for a fixture
    return run
