"""Orders through HTTP really take the way of the configured queue, decided by a worker process."""

import asyncio
import json
import signal
import time
from collections import Counter
from uuid import uuid4

from stockade import __version__
from tests.cli.service import Service, audited, environment, prepared
from tests.cli.test_serve import place
from tests.cli.warm_start import warm_start
from tests.waiting import eventually_async


async def test_http_orders_go_through_the_log(tmp_path, kafka_bootstrap):
    """Without a worker orders wait as PENDING: those that wait for `wait_s`, and those that do not wait at all
    (`Prefer: respond-async`). With one, 20 of 60 are sold and 40 refused, once each, and nothing is lost."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1, stock=20)
    log = {"database": url, "kafka_bootstrap": kafka_bootstrap, "kafka_topic": f"shop-{uuid4().hex}", "wait_s": 3}
    with Service(tmp_path, "--strategy", "kafka", **log) as service:
        async with service.client("user-1") as http:
            http.headers["Prefer"] = "respond-async"
            began = time.monotonic()
            at_once = await asyncio.gather(*(place(http, number) for number in range(30)))
            assert time.monotonic() - began < log["wait_s"]
            del http.headers["Prefer"]
            taken = await asyncio.gather(*(place(http, number) for number in range(30, 60)))
            assert {each.status_code for each in (*at_once, *taken)} == {202}
            assert {each.headers["preference-applied"] for each in at_once} == {"respond-async"}
            places = [answer.headers["location"] for answer in (*at_once, *taken)]
            assert {(await http.get(each)).json()["status"] for each in places} == {"PENDING"}
            worker = start_worker(tmp_path, log, "--metrics-address", "127.0.0.1:0")
            try:
                decided = await eventually_async(lambda: statuses(http, places), 60)
                lines = {
                    line["event"]: line for line in map(json.loads, (tmp_path / "worker.log").read_text().splitlines())
                }
                metrics = await http.get(f"http://127.0.0.1:{lines['metrics']['port']}/metrics")
                again = await asyncio.gather(*(place(http, number) for number in range(60)))
            finally:
                worker.send_signal(signal.SIGTERM)
                code = worker.wait(30)
        assert service.stop() == 0
    assert Counter(decided) == {"RESERVED": 20, "REJECTED": 40}
    assert Counter(each.status_code for each in again) == {201: 20, 409: 40}
    assert {each.headers["idempotent-replayed"] for each in again} == {"true"}
    assert code == 0
    began = lines["working"]
    assert (began["version"], began["topic"], began["group"]) == (__version__, log["kafka_topic"], "stockade-workers")
    assert (tmp_path / "worker.out").read_text() == f"working on topic {began['topic']} as group {began['group']}\n"
    assert 'stockade_store_total{event="commands"} 60.0' in metrics.text
    assert (await audited(url))[1] == []


async def statuses(http, places):
    """What became of the orders, once all of them are decided."""
    seen = [(await http.get(each)).json()["status"] for each in places]
    return None if "PENDING" in seen else seen


def start_worker(folder, log, *words):
    """A `stockade worker` process."""
    with (folder / "worker.log").open("w") as log_file, (folder / "worker.out").open("w") as out:
        streams = {"stderr": log_file.fileno(), "stdout": out.fileno()}
        return warm_start(("worker", *words), cwd=folder, env=environment(**log), **streams)
