"""Orders through HTTP really take the way of the configured queue, decided by a worker process."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from uuid import uuid4

from stockade import __version__
from tests.cli.service import Service, audited, environment, prepared
from tests.cli.test_serve import place
from tests.waiting import eventually_async


async def test_http_orders_go_through_the_log(tmp_path, kafka_bootstrap):
    """Without a worker orders wait as PENDING; with one, 20 of 30 are sold and 10 refused, and nothing is lost."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1, stock=20)
    log = {"database": url, "kafka_bootstrap": kafka_bootstrap, "kafka_topic": f"shop-{uuid4().hex}", "wait_s": 3}
    with Service(tmp_path, "--strategy", "kafka", **log) as service:
        async with service.client("user-1") as http:
            taken = await asyncio.gather(*(place(http, number) for number in range(30)))
            assert {answer.status_code for answer in taken} == {202}
            places = [answer.headers["location"] for answer in taken]
            assert {(await http.get(each)).json()["status"] for each in places} == {"PENDING"}
            worker = start_worker(tmp_path, log, "--metrics-address", "127.0.0.1:0")
            try:
                decided = await eventually_async(lambda: statuses(http, places), 60)
                lines = {
                    line["event"]: line for line in map(json.loads, (tmp_path / "worker.log").read_text().splitlines())
                }
                metrics = await http.get(f"http://127.0.0.1:{lines['metrics']['port']}/metrics")
            finally:
                worker.send_signal(signal.SIGTERM)
                code = worker.wait(30)
        assert service.stop() == 0
    assert Counter(decided) == {"RESERVED": 20, "REJECTED": 10}
    assert code == 0
    began = lines["working"]
    assert (began["version"], began["topic"], began["group"]) == (__version__, log["kafka_topic"], "stockade-workers")
    assert (tmp_path / "worker.out").read_text() == f"working on topic {began['topic']} as group {began['group']}\n"
    assert 'stockade_store_total{event="commands"} 30.0' in metrics.text
    assert (await audited(url))[1] == []


async def test_orders_that_do_not_wait_go_through_the_log(tmp_path, kafka_bootstrap):
    """`Prefer: respond-async`: orders are taken at once, before any worker is there; each is decided once."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1, stock=20)
    log = {"database": url, "kafka_bootstrap": kafka_bootstrap, "kafka_topic": f"shop-{uuid4().hex}", "wait_s": 30}
    with Service(tmp_path, "--strategy", "kafka", **log) as service:
        async with service.client("user-1") as http:
            http.headers["Prefer"] = "respond-async"
            taken = await asyncio.gather(*(place(http, number) for number in range(30)))
            assert {(each.status_code, each.headers["preference-applied"]) for each in taken} == {
                (202, "respond-async")
            }
            del http.headers["Prefer"]
            places = [answer.headers["location"] for answer in taken]
            assert {(await http.get(each)).json()["status"] for each in places} == {"PENDING"}
            worker = start_worker(tmp_path, log)
            try:
                decided = await eventually_async(lambda: statuses(http, places), 60)
                again = await asyncio.gather(*(place(http, number) for number in range(30)))
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.wait(30)
        assert service.stop() == 0
    assert Counter(decided) == {"RESERVED": 20, "REJECTED": 10}
    assert Counter(each.status_code for each in again) == {201: 20, 409: 10}
    assert {each.headers["idempotent-replayed"] for each in again} == {"true"}
    assert (await audited(url))[1] == []


async def statuses(http, places):
    """What became of the orders, once all of them are decided."""
    seen = [(await http.get(each)).json()["status"] for each in places]
    return None if "PENDING" in seen else seen


def start_worker(folder, log, *words):
    """A `stockade worker` process."""
    command = [sys.executable, "-m", "stockade", "worker", *words]
    with (folder / "worker.log").open("w") as log_file, (folder / "worker.out").open("w") as out:
        return subprocess.Popen(command, cwd=folder, env=environment(**log), stderr=log_file, stdout=out)
