"""Buyers who pay through a gateway that loses replies, while worker processes of the service are killed with SIGKILL.

`python -m tests.process.payment_load PAYMENTS KILLS [DATABASE]` runs it once and prints the figures.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
from tests.process.service import client, order, product, serving

from stockade.devservers import Servers, fresh_database
from stockade.devservers.gateway import GatewayClient
from stockade.shop.model.tables import orders
from tests.payments.checkout import PRICE, open_checkout
from tests.waiting import eventually, eventually_async

LIMIT_S, WORKERS = 60, 2
FAULTS = {"lost-reply": 0.1, "lost-request": 0.05, "approve-then-error": 0.05, "decline": 0.05}
SETTINGS = {
    "STOCKADE_GATEWAY": "toss",
    "STOCKADE_GATEWAY_SECRET": "test_sk_load",
    "STOCKADE_GATEWAY_CALL_S": "2",
    "STOCKADE_RECONCILE_S": "0.5",
}


async def _answer(http, path, status, **request):
    """The answer to a request that is sent again, with the same key, until it has one of these statuses."""

    async def answered():
        try:
            answer = await http.post(path, **request)
        except httpx2.TransportError:
            return None  # its process was killed: the same key again is always safe
        return answer if answer.status_code in status else None

    return await eventually_async(answered, LIMIT_S)


async def _buy(http, sku, number, ended):
    """Order one unit and pay it."""
    made = (await _answer(http, "/v1/orders", (201,), **order(sku, number))).json()
    body = {"method": "PG", "payment_key": f"card-{made['order_id']}", "amount": PRICE}
    headers = {"Idempotency-Key": f"pay-{number}"}
    path = f"/v1/orders/{made['order_id']}/payments"
    paid = await _answer(http, path, (200, 201, 202, 402, 409), json=body, headers=headers)
    ended[made["order_id"]] = paid.status_code


async def _kill(service, ended, payments, kills):
    """Kill a worker process each time a further share of the payments has ended."""
    for number in range(1, kills + 1):
        share = number * payments // (kills + 2)
        await asyncio.to_thread(eventually, lambda share=share: len(ended) >= share, LIMIT_S)
        await asyncio.to_thread(eventually, lambda: len(service.workers()) == WORKERS, LIMIT_S)
        os.kill(service.workers()[number % WORKERS], signal.SIGKILL)


async def load(database, state, judge, *, payments, kills):
    """Run it; how the buyers' requests ended, by status."""
    with serving(database, state, "--workers", str(WORKERS)) as service:
        async with client(service, service.token("buyer", "--admin"), connections=32) as http:
            sku = await product(http, payments + 10, PRICE)
            judge.behave(latency_s=0.03, faults=FAULTS, seed=payments)
            ended, slots = {}, asyncio.Semaphore(32)

            async def buy(number):
                async with slots:
                    await _buy(http, sku, number, ended)

            await asyncio.gather(_kill(service, ended, payments, kills), *(buy(n) for n in range(payments)))
            judge.behave(faults={}, latency_s=0.0)
    return Counter(ended.values())


async def compare(database, judge, gateway_url):
    """Reconcile what is left; (states of orders, differences between the gateway's book and ours)."""
    async with open_checkout(database, judge, gateway_url, new=False) as checkout:
        await checkout.reconcile(rounds=4)
        states = Counter(each.status for each in await checkout.rows(orders))
        return states, await checkout.unequal()


async def _main(payments, kills, kind):
    with Servers() as servers, tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        state.mkdir()
        server = servers.gateway()
        judge = GatewayClient(server.url)
        os.environ |= {**SETTINGS, "STOCKADE_GATEWAY_URL": server.url}
        url = f"sqlite:///{folder}/shop.sqlite"
        if kind != "sqlite":
            url = await fresh_database(getattr(servers, kind)().url)
        began_s = time.monotonic()
        answers = await load(url, state, judge, payments=payments, kills=kills)
        took_s = time.monotonic() - began_s
        states, differences = await compare(url, judge, server.url)
        count = judge.count()
        figures = {
            "payments": payments,
            "kills": kills,
            "seconds": round(took_s, 1),
            "answers": dict(answers),
            "orders": dict(states),
            "approved_by_gateway": sum(map(len, count.approved.values())),
            "charged_twice": len(count.charged_twice),
            "requests_to_gateway": count.requests,
            "differences": [str(each) for each in differences],
        }
        sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "postgres"))
