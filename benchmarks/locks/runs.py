"""The two experiments, for tasks and for threads: one hot lock, and many cold ones."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

from benchmarks.locks.measure import SECTION_S, Contended, Pairs, cpu_s, effort


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
                requested = time.perf_counter()
                await lock.acquire()
                log.append((number, requested, time.perf_counter()))
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
                requested = time.perf_counter()
                lock.acquire()
                log.append((number, requested, time.perf_counter()))
                time.sleep(SECTION_S)
                lock.release()

        in_threads(work, 2, 1)
        log.clear()
        before, started = effort(onlooker), time.perf_counter()
        in_threads(work, workers, turns)
        wall_s, after = time.perf_counter() - started, effort(onlooker)
    return Contended(wall_s, log, after[0] - before[0], after[1] - before[1])


def in_threads(work: Callable[[int, Any], None], number: int, argument: Any) -> None:
    """Run `work(i, argument)` in that many threads, wait for all, raise what one of them raised."""
    with ThreadPoolExecutor(number) as pool:
        for ended in [pool.submit(work, each, argument) for each in range(number)]:
            ended.result()


async def pairs_tasks(contender: Callable[..., Any], url: str, tasks: int, seconds: float) -> Pairs:
    """Acquire+release pairs of so many tasks, each on a lock of its own; all have connected before it counts."""
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
        await asyncio.gather(*(work(number) for number in range(tasks)))
        done, started, used_s = 0, time.perf_counter(), cpu_s()
        end = started + seconds
        await asyncio.gather(*(work(number) for number in range(tasks)))
        return Pairs(done / (time.perf_counter() - started), (cpu_s() - used_s) / done * 1e6)


def pairs_threads(contender: Callable[..., Any], url: str, threads: int, seconds: float) -> Pairs:
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
        started, used_s = time.perf_counter(), cpu_s()
        in_threads(work, threads, seconds)
        return Pairs(sum(done) / (time.perf_counter() - started), (cpu_s() - used_s) / sum(done) * 1e6)


def sleeps_alone(turns: int) -> float:
    """What so many sections cost one thread that needs no lock, as a multiple of what they should."""
    started = time.perf_counter()
    for _ in range(turns):
        time.sleep(SECTION_S)
    return (time.perf_counter() - started) / (turns * SECTION_S)


async def sleeps_alone_task(turns: int) -> float:
    """The same in a task."""
    started = time.perf_counter()
    for _ in range(turns):
        await asyncio.sleep(SECTION_S)
    return (time.perf_counter() - started) / (turns * SECTION_S)
