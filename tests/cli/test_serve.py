"""The real service in real processes: orders through several workers, stops in order, crashes that are survived."""

import asyncio
import os
import signal
import socket
import sqlite3
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stockade.shop.config.settings import Settings
from stockade.shop.http.server.supervisor import MAX_RESTARTS, ServingFailed, Supervisor
from tests.cli.service import Service, audited, prepared, token
from tests.waiting import eventually, eventually_async


def children(pid):
    """Process ids of the workers."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    return Path(f"/proc/{pid}").exists() and "(zombie)" not in Path(f"/proc/{pid}/status").read_text()


async def place(http, number, sku="sku-1", pay="LATER"):
    body = {"lines": [{"sku_id": sku, "quantity": 1}], "pay": pay}
    return await http.post("/v1/orders", json=body, headers={"Idempotency-Key": f"order-{number}"})


@pytest.fixture
def file_url(tmp_path):
    """A SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'shop.sqlite'}"


async def test_two_workers_sell_every_unit_once(database_url, tmp_path):
    """On each database, 60 simultaneous orders on 20 units through two processes are 20 sales and 40 refusals."""
    await prepared(database_url, products=1, stock=20, users=2)
    with Service(tmp_path, "--workers", 2, database=database_url) as service:
        async with service.client("user-1", limits=httpx2.Limits(max_connections=60)) as http:
            answers = await asyncio.gather(*(place(http, number, pay="POINTS") for number in range(60)))
            again = await asyncio.gather(*(place(http, number, pay="POINTS") for number in range(60)))
            metrics = text_string_to_metric_families((await http.get("/metrics")).text)
            samples = [each for family in metrics for each in family.samples]
        assert service.stop() == 0
    assert Counter(each.json().get("code", each.status_code) for each in answers) == {201: 20, "OUT_OF_STOCK": 40}
    assert [each.content for each in again] == [each.content for each in answers]
    assert all(each.headers["idempotent-replayed"] == "true" for each in again)
    figures, found = await audited(database_url)
    assert (figures.sold, figures.left, found) == (20, 0, [])
    orders = [each for each in samples if each.name == "stockade_request_seconds_count" and "orders" in str(each)]
    assert sum(each.value for each in orders) == 120, "the answer of one worker is not the sum of both"


# the service, but for opening and closing its own file once when it has connections to it
OPENS = """
from stockade.store.schema.migrate import Schema
revisions = Schema.revisions
async def opens(self, database, **options):
    found = await revisions(self, database, **options)
    open(database.url.database, "rb").close()
    return found
Schema.revisions = opens
from stockade.__main__ import main
main()
"""


@pytest.mark.parametrize("opens", [False, True])
async def test_another_process_at_a_sqlite_file_loses_nothing(tmp_path, file_url, opens):
    """An audit beside a service sees its order, and a kill of the service loses none; the control closes the file once,
    which takes away SQLite's locks, and so the other process removes the log of the writes."""
    await prepared(file_url, products=1, stock=20, users=2)
    with Service(tmp_path, database=file_url, program=("-c", OPENS) if opens else None) as service:
        await audited(file_url)
        async with service.client("user-1") as http:
            assert (await place(http, 1, pay="POINTS")).status_code == 201
        beside, _ = await audited(file_url)
        service.process.kill()
    after, _ = await audited(file_url)
    assert [beside.sold, after.sold] == [0 if opens else 1] * 2


def hold_the_writers(path):
    """Take SQLite's one write lock, so that orders wait."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stop_finishes_what_is_at_work(tmp_path, file_url, workers):
    """An order that waits when the stop comes is carried out and answered; then the process ends with 0."""
    await prepared(file_url)
    with Service(tmp_path, "--workers", workers, database=file_url, wait_s=20) as service:
        async with service.client("user-1") as http:
            held = hold_the_writers(tmp_path / "shop.sqlite")
            waiting = asyncio.create_task(place(http, 1))
            await eventually_async(lambda: at_work(service))
            service.process.send_signal(signal.SIGTERM)
            port = int(service.url.rpartition(":")[2])
            await asyncio.to_thread(eventually, lambda: refuses(port))
            assert not waiting.done()
            held.execute("ROLLBACK")
            held.close()
            assert (await waiting).status_code == 201
        assert await asyncio.to_thread(service.process.wait, 30) == 0
    assert "unexpected" not in service.log.read_text()


async def at_work(service):
    """Whether an order is inside, by /metrics of any worker."""
    async with service.client() as http:
        text = (await http.get("/metrics")).text
    return any(
        line.startswith('stockade_waiting{where="at_work"}') and not line.endswith(" 0.0") for line in text.splitlines()
    )


def refuses(port):
    """Whether new connections are refused."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_a_killed_worker_is_replaced(tmp_path, file_url, monkeypatch):
    """kill -9 of a worker leaves the service answering, a new worker comes, and the database is sound; kill -9 of the
    supervisor leaves no worker behind, and no folder."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    await prepared(file_url, stock=1000)
    with Service(tmp_path, "--workers", 2, database=file_url) as service:
        first = children(service.process.pid)
        assert len(first) == 2
        async with service.client("user-1") as http:
            busy = [asyncio.create_task(place(http, number)) for number in range(50)]
            os.kill(first[0], signal.SIGKILL)
            await asyncio.gather(*busy, return_exceptions=True)
        await asyncio.to_thread(eventually, lambda: len(set(children(service.process.pid)) - set(first)) == 1, 30)
        async with service.client("user-1") as http:
            answers = [await place(http, number) for number in range(50)]
        assert {answer.status_code for answer in answers} == {201}
        assert list(temporary.iterdir())
        workers = children(service.process.pid)
        service.process.kill()
        service.process.wait()
        await asyncio.to_thread(eventually, lambda: not any(alive(pid) for pid in workers), 30)
        await asyncio.to_thread(eventually, lambda: not list(temporary.iterdir()))
    figures, found = await audited(file_url)
    assert (sum(figures.orders.values()), found) == (50, [])
    assert "worker ended" in service.log.read_text()


def test_workers_that_crash_again_and_again_end_the_service():
    """Restarts are bounded: one crash too many within the window, and the error says so."""
    supervisor = Supervisor(Settings(), None, lambda: None)
    for _ in range(MAX_RESTARTS):
        supervisor._count_crash()
    with pytest.raises(ServingFailed, match=f"more than {MAX_RESTARTS} times"):
        supervisor._count_crash()
    supervisor.close()


async def test_slow_bodies_and_bad_requests_hold_nothing(tmp_path):
    """A client that never finishes its body, and one that does not speak HTTP, are let go of."""
    with Service(tmp_path, body_wait_s=0.2) as service:
        host, _, port = service.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('ann')}\r\nIdempotency-Key: k\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode())
        assert b" 408 " in await reader.readline()
        writer.close()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"this is not HTTP\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        async with service.client() as http:
            assert (await http.get("/readyz")).status_code == 200
