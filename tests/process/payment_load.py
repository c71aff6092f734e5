"""Buyers who pay through a gateway that loses replies, while worker processes of the service are killed with SIGKILL.

`python -m tests.process.payment_load PAYMENTS [DATABASE]` runs it once and prints the figures.
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

from stockade.devservers import Servers, fresh_database
from stockade.devservers.gateway import GatewayClient
from stockade.shop.model.tables import orders
from tests.cli.service import Service, prepared
from tests.cli.test_serve import alive, children, place
from tests.payments.checkout import open_checkout
from tests.waiting import eventually, eventually_async

LIMIT_S, WORKERS, BUYERS, STOCK = 60, 2, 32, 10_000
PER_SERVICE, KILLS = 100, 5  # a service whose processes crash more often in a minute gives up
FAULTS = {"lost-reply": 0.1, "lost-request": 0.05, "approve-then-error": 0.05, "decline": 0.05}
SETTINGS = {"gateway": "toss", "gateway_secret": "test_sk_load", "gateway_call_s": 2, "reconcile_s": 0.5}


async def _answer(send, status):
    """The answer to a request that is sent again, with the same key, until it has one of these statuses."""

    async def answered():
        try:
            answer = await send()
        except httpx2.TransportError:
            return None  # its process was killed: the same key again is always safe
        return answer if answer.status_code in status else None

    return await eventually_async(answered, LIMIT_S)


async def _buy(http, number, ended):
    """Order one unit and pay it."""
    made = (await _answer(lambda: place(http, number), (201,))).json()
    body = {"method": "PG", "payment_key": f"card-{made['order_id']}", "amount": made["total"]}
    headers = {"Idempotency-Key": f"pay-{number}"}
    path = f"/v1/orders/{made['order_id']}/payments"
    paid = await _answer(lambda: http.post(path, json=body, headers=headers), (200, 201, 202, 402, 409))
    ended[made["order_id"]] = paid.status_code


async def _kill(service, ended, payments, kills):
    """Kill a worker process each time a further share of the payments has ended."""
    for number in range(1, kills + 1):
        share = number * payments // (kills + 2)
        await asyncio.to_thread(eventually, lambda share=share: len(ended) >= share, LIMIT_S)
        workers = await asyncio.to_thread(eventually, lambda: _all_alive(service), LIMIT_S)
        os.kill(workers[number % WORKERS], signal.SIGKILL)


def _all_alive(service):
    """The worker processes, once all of them run: a killed one is listed until it is replaced, or is just gone."""
    found = [pid for pid in children(service.process.pid) if alive(pid)]
    return found if len(found) == WORKERS else None


async def load(database, folder, judge, gateway_url, *, payments, kills, first=0):
    """One service, ended in order; how the requests ended, by status. `first` is the number of the first buyer."""
    if first == 0:
        await prepared(database, products=1, stock=STOCK)
    options = {**SETTINGS, "gateway_url": gateway_url}
    with Service(folder, "--workers", WORKERS, database=database, **options) as service:
        async with service.client("user-1", limits=httpx2.Limits(max_connections=BUYERS)) as http:
            judge.behave(latency_s=0.03, faults=FAULTS, seed=first)
            ended, slots = {}, asyncio.Semaphore(BUYERS)

            async def buy(number):
                async with slots:
                    await _buy(http, number, ended)

            await asyncio.gather(_kill(service, ended, payments, kills), *(buy(first + n) for n in range(payments)))
            judge.behave(faults={}, latency_s=0.0)
        await asyncio.to_thread(service.stop)
    return Counter(ended.values())


async def compare(database, judge, gateway_url):
    """Reconcile what is left; (states of orders, differences between the gateway's book and ours)."""
    async with open_checkout(database, judge, gateway_url, new=False) as checkout:
        await checkout.reconcile(rounds=4)
        states = Counter(each.status for each in await checkout.rows(orders))
        return states, await checkout.unequal()


async def _main(payments, kind):
    with Servers() as servers, tempfile.TemporaryDirectory() as folder:
        server = servers.gateway()
        judge = GatewayClient(server.url)
        url = f"sqlite:///{folder}/shop.sqlite"
        if kind != "sqlite":
            url = await fresh_database(getattr(servers, kind)().url)
        began_s = time.monotonic()
        answers, options = Counter(), {"payments": PER_SERVICE, "kills": KILLS}
        for first in range(0, payments, PER_SERVICE):
            answers += await load(url, Path(folder), judge, server.url, first=first, **options)
        took_s = time.monotonic() - began_s
        states, differences = await compare(url, judge, server.url)
        count = judge.count()
        figures = {
            "payments": payments,
            "kills": KILLS * payments // PER_SERVICE,
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
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "postgres"))
