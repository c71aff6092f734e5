"""The two experiments, for tasks and for threads: one hot lock, and many cold ones."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from benchmarks.locks.measure import SECTION_S, Contended, effort


async def contended_tasks(contender: Callable[..., Any], url: str, workers: int, turns: int) -> Contended:
    """`workers` tasks take one lock `turns` times each and stay 1 ms inside."""
    log: list[tuple[int, float, float]] = []
    async with contender(url) as make:
        for _ in range(2):
            warm = make("warm")
            await warm.acquire()
            await warm.release()

        async def work(number: int, rounds: int) -> None:
            lock = make("hot")
            for _ in range(rounds):
                asked = time.perf_counter()
                await lock.acquire()
                log.append((number, asked, time.perf_counter()))
                await asyncio.sleep(SECTION_S)
                await lock.release()

        await asyncio.gather(*(work(number, 1) for number in range(2)))
        log.clear()
        with redis.Redis.from_url(url) as onlooker:
            before, started = effort(onlooker), time.perf_counter()
            await asyncio.gather(*(work(number, turns) for number in range(workers)))
            wall_s, after = time.perf_counter() - started, effort(onlooker)
    return Contended(wall_s, log, after[0] - before[0], after[1] - before[1])


def contended_threads(contender: Callable[..., Any], url: str, workers: int, turns: int) -> Contended:
    """The same with threads."""
    log: list[tuple[int, float, float]] = []
    with contender(url) as make, redis.Redis.from_url(url) as onlooker:

        def work(number: int, rounds: int) -> None:
            lock = make("hot")
            for _ in range(rounds):
                asked = time.perf_counter()
                lock.acquire()
                log.append((number, asked, time.perf_counter()))
                time.sleep(SECTION_S)
                lock.release()

        in_threads(work, 2, 1)
        log.clear()
        before, started = effort(onlooker), time.perf_counter()
        in_threads(work, workers, turns)
        wall_s, after = time.perf_counter() - started, effort(onlooker)
    return Contended(wall_s, log, after[0] - before[0], after[1] - before[1])


def in_threads(work: Callable[[int, Any], None], number: int, argument: Any) -> None:
    """Run `work(i, argument)` in that many threads and wait for all."""
    threads = [threading.Thread(target=work, args=(each, argument)) for each in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def pairs_tasks(contender: Callable[..., Any], url: str, tasks: int, seconds: float) -> float:
    """Acquire+release pairs per second of so many tasks, each on a lock of its own."""
    done = 0
    async with contender(url) as make:

        async def work(number: int) -> None:
            nonlocal done
            lock = make(f"cold{number}")
            while time.perf_counter() < end:
                await lock.acquire()
                await lock.release()
                done += 1

        end = time.perf_counter() + 0.1
        await asyncio.gather(*(work(number) for number in range(min(tasks, 50))))
        done, started = 0, time.perf_counter()
        end = started + seconds
        await asyncio.gather(*(work(number) for number in range(tasks)))
        return done / (time.perf_counter() - started)


def pairs_threads(contender: Callable[..., Any], url: str, threads: int, seconds: float) -> float:
    """The same with threads."""
    with contender(url) as make:
        done = [0] * threads

        def work(number: int, bound_s: float) -> None:
            lock = make(f"cold{number}")
            end = time.perf_counter() + bound_s
            while time.perf_counter() < end:
                lock.acquire()
                lock.release()
                done[number] += 1

        in_threads(work, threads, 0.1)
        done[:] = [0] * threads
        started = time.perf_counter()
        in_threads(work, threads, seconds)
        return sum(done) / (time.perf_counter() - started)
