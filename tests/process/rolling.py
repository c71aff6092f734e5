"""Several services behind a balancer of the test's own, and callers who never stop: for restarts under load."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import httpx2

from tests.waiting import eventually_async

CALLERS = 8
ANSWER_S = 60  # until one of the services takes an order: the requests to each have a time limit of their own


class Balancer:
    """Sends requests to the first upstream that takes them, as `proxy_next_upstream` of deploy/nginx.conf does.

    Attributes:
        upstreams: the addresses, which a test changes as an operator does.
    """

    def __init__(self, *upstreams):
        self.upstreams = list(upstreams)
        self._turn = 0
        self._http = httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=200))

    async def close(self):
        await self._http.aclose()

    async def post(self, path, **content):
        """The response of the first upstream that is there and not 503; else the last one's."""
        self._turn += 1
        answer = None
        order = [self.upstreams[(self._turn + n) % len(self.upstreams)] for n in range(len(self.upstreams))]
        for upstream in order:
            try:
                answer = await self._http.post(f"{upstream}{path}", **content)
            except httpx2.TransportError:
                continue  # the process ends; the same key goes to the next one
            if answer.status_code != 503:
                break
        return answer


class Load:
    """Callers who place orders one after the other, each with a key of its own.

    Attributes:
        answers: how often each status came; None where no upstream answered.
        sold: ids of the orders.
    """

    def __init__(self, balancer, token, sku):
        self.balancer, self.token, self.sku = balancer, token, sku
        self.answers, self.sold = Counter(), set()
        self._stopped = False

    async def _call(self, caller):
        number = 0
        while not self._stopped:
            number += 1
            await self._order(f"{caller}-{number}")

    async def _order(self, key):
        body = {"lines": [{"sku_id": self.sku, "quantity": 1}], "pay": "LATER"}
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        answer = None
        async with asyncio.timeout(ANSWER_S):
            while answer is None and not self._stopped:  # the same key again: always safe
                answer = await self.balancer.post("/v1/orders", json=body, headers=headers)
                self.answers[None if answer is None else answer.status_code] += 1
                await asyncio.sleep(0)
        if answer is not None and answer.status_code == 201:
            self.sold.add(answer.json()["order_id"])

    async def goes_on(self, orders=30):
        """Wait until so many further orders are sold."""
        wanted = len(self.sold) + orders

        async def sold():
            return len(self.sold) >= wanted

        await eventually_async(sold, 30)

    @asynccontextmanager
    async def running(self):
        """Callers in the background; at the end every one of them has its answer."""
        tasks = [asyncio.create_task(self._call(f"caller-{number}")) for number in range(CALLERS)]
        try:
            await self.goes_on()
            yield self
        finally:
            self._stopped = True
            await asyncio.gather(*tasks)
