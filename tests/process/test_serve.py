"""The service as its users run it: worker processes, simultaneous callers, kill -9, and the audit afterwards."""

import asyncio
import os
import signal
from collections import Counter

import httpx2
import pytest

from tests.process.service import client, order, product, serving
from tests.waiting import eventually


@pytest.fixture
def state(tmp_path):
    """A state folder of one service."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


async def test_500_simultaneous_orders_on_100_units(database_url, state):
    """Two worker processes, 500 callers at once: 100 sold, 400 receive OUT_OF_STOCK, and the audit finds nothing."""
    with serving(database_url, state, "--workers", "2", "--strategy", "sequencer") as service:
        async with client(service, service.token("buyer", "--admin")) as http:
            sku = await product(http, 100)
            answers = await asyncio.gather(*(http.post("/v1/orders", **order(sku, n)) for n in range(500)))
            codes = Counter((answer.status_code, answer.json().get("code", "")) for answer in answers)
            assert codes == {(201, ""): 100, (409, "OUT_OF_STOCK"): 400}
            stock = (await http.get(f"/v1/skus/{sku}/stock")).json()
            assert stock["available"] == 0
        found = service.audit()
        assert found["ok"]
        assert not found["violations"]


@pytest.mark.parametrize("strategy", ["pessimistic", "sequencer"])
async def test_a_killed_worker_loses_no_order(database_url, state, strategy):
    """kill -9 of a worker under load: every answered order is there, a repeat returns it, none exists twice."""
    with serving(database_url, state, "--workers", "2", "--strategy", strategy) as service:
        async with client(service, service.token("buyer", "--admin"), connections=64) as http:
            sku = await product(http, 150)
            answered = {}

            async def buy(number):
                for _ in range(50):
                    try:
                        answer = await http.post("/v1/orders", **order(sku, number))
                    except httpx2.TransportError:
                        continue  # the same key again: always safe
                    if answer.status_code in (201, 409) and not answer.json().get("retryable"):
                        answered[number] = (answer.status_code, answer.json()["order_id"])
                        return
                raise AssertionError(f"order {number} got no answer in 50 tries")

            async def kill_when_busy():
                before = service.workers()
                async with asyncio.timeout(20):
                    while len(answered) < 40:
                        await asyncio.sleep(0)
                os.kill(before[0], signal.SIGKILL)
                return before[0]

            killed, *_ = await asyncio.gather(kill_when_busy(), *(buy(n) for n in range(200)))
            assert Counter(status for status, _ in answered.values()) == {201: 150, 409: 50}
            assert len({order_id for _, order_id in answered.values()}) == 200
            again = await http.post("/v1/orders", **order(sku, 0))
            assert (again.status_code, again.json()["order_id"]) == answered[0]
            assert again.headers["Idempotent-Replayed"] == "true"
            eventually(lambda: len(service.workers()) == 2 and killed not in service.workers(), 20)
        assert service.audit()["ok"]


async def test_a_graceful_stop_finishes_what_it_began(state, tmp_path):
    """SIGTERM under load: callers get answers or closed connections, never a lost order; the audit agrees."""
    database = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    with serving(database, state, "--strategy", "sequencer") as service:
        async with client(service, service.token("buyer", "--admin"), connections=50) as http:
            sku = await product(http, 1000)
            orders = [asyncio.create_task(http.post("/v1/orders", **order(sku, n))) for n in range(100)]
            await asyncio.wait(orders, return_when=asyncio.FIRST_COMPLETED)
            service.process.terminate()
            answers = await asyncio.gather(*orders, return_exceptions=True)
        assert service.process.wait(20) == 0
        placed = sum(isinstance(a, httpx2.Response) and a.status_code == 201 for a in answers)
        found = service.audit()
        assert found["ok"]
        assert placed > 0
