"""The service as its users run it: worker processes, simultaneous callers, kill -9, and the audit afterwards.

`tests/cli/test_serve.py` has the same on a SQLite file, with fewer callers.
"""

import asyncio
import os
import signal
from collections import Counter

import httpx2
import pytest

from tests.cli.service import Service, audited, prepared
from tests.cli.test_serve import children, place
from tests.waiting import eventually


def client(service, connections):
    """An HTTP client with one connection for each caller."""
    return service.client("user-1", limits=httpx2.Limits(max_connections=connections))


async def test_500_simultaneous_orders_on_100_units(postgres_database, tmp_path):
    """Two worker processes, 500 callers at once: 100 sold, 400 receive OUT_OF_STOCK, and the audit finds nothing."""
    await prepared(postgres_database, products=1, stock=100)
    with Service(tmp_path, "--workers", 2, "--strategy", "sequencer", database=postgres_database) as service:
        async with client(service, 500) as http:
            answers = await asyncio.gather(*(place(http, number) for number in range(500)))
    codes = Counter((answer.status_code, answer.json().get("code", "")) for answer in answers)
    assert codes == {(201, ""): 100, (409, "OUT_OF_STOCK"): 400}
    figures, found = await audited(postgres_database)
    assert (figures.left, found) == (0, [])


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        pytest.param("postgres", "sequencer", marks=pytest.mark.postgres),
        pytest.param("mariadb", "pessimistic", marks=pytest.mark.mariadb),
    ],
)
def test_a_killed_worker_loses_no_order(kind, strategy, tmp_path, request):
    """kill -9 of a worker under load: every answered order is there, a repeat returns it, none exists twice."""
    asyncio.run(killed(request.getfixturevalue(f"{kind}_database"), strategy, tmp_path))


async def killed(url, strategy, folder):
    """60 callers send 120 orders on 90 units. The kill comes at the 20th answer, when at most 79 orders have been sent:
    whatever the workers did with those, 41 are sent after it."""
    await prepared(url, products=1, stock=90)
    with Service(folder, "--workers", 2, "--strategy", strategy, database=url) as service:
        async with client(service, 60) as http:
            answered, busy, before = {}, asyncio.Semaphore(60), children(service.process.pid)

            async def buy(number):
                async with busy:
                    for _ in range(50):
                        try:
                            answer = await place(http, number)
                        except httpx2.TransportError:
                            continue  # the same key again: always safe
                        if answer.status_code in (201, 409) and not answer.json().get("retryable"):
                            answered[number] = (answer.status_code, answer.json()["order_id"])
                            if len(answered) == 20:
                                os.kill(before[0], signal.SIGKILL)
                            return
                raise AssertionError(f"order {number} got no answer in 50 tries")

            await asyncio.gather(*(buy(number) for number in range(120)))
            assert Counter(status for status, _ in answered.values()) == {201: 90, 409: 30}
            assert len({order_id for _, order_id in answered.values()}) == 120
            again = await place(http, 0)
            assert (again.status_code, again.json()["order_id"]) == answered[0]
            assert again.headers["Idempotent-Replayed"] == "true"
            eventually(lambda: len(now := children(service.process.pid)) == 2 and before[0] not in now, 20)
    assert (await audited(url))[1] == []


async def test_a_graceful_stop_finishes_what_it_began(tmp_path):
    """SIGTERM under load: callers get answers or closed connections, never a lost order; the audit agrees."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1, stock=1000)
    with Service(tmp_path, "--strategy", "sequencer", database=url) as service:
        async with client(service, 50) as http:
            orders = [asyncio.create_task(place(http, number)) for number in range(100)]
            await asyncio.wait(orders, return_when=asyncio.FIRST_COMPLETED)
            service.process.terminate()
            answers = await asyncio.gather(*orders, return_exceptions=True)
        assert await asyncio.to_thread(service.process.wait, 20) == 0
    placed = sum(isinstance(each, httpx2.Response) and each.status_code == 201 for each in answers)
    figures, found = await audited(url)
    assert (placed > 0, found) == (True, [])
    assert sum(figures.orders.values()) >= placed
