"""A Redis that goes away, or refuses, and comes back is two lines in the log, however many orders meet it."""

import asyncio
import json

import pytest
import redis

from tests.cli.service import Service, audited, prepared, refusal, stockade
from tests.cli.test_serve import place
from tests.waiting import eventually, eventually_async

ORDERS = 20


def said(service, word):
    """The messages of the log that hold this word."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [each["event"] for each in lines if word in each["event"]]


async def orders(client, first):
    """The status of each of some orders at once."""
    answers = await asyncio.gather(*(place(client, first + number) for number in range(ORDERS)))
    return {answer.status_code for answer in answers}


@pytest.mark.redis
async def test_an_outage_is_two_lines(redis_server, tmp_path):
    """Stopped and started again twice: "is away" and "is back" once each time, and orders go on by themselves."""
    url, server = f"sqlite:///{tmp_path / 'shop.sqlite'}", redis_server()
    await prepared(url, products=1, stock=1_000)
    with Service(tmp_path, "--strategy", "redis-pubsub", database=url, redis=server.url, wait_s=1) as service:
        async with service.client("user-1") as client:
            assert await orders(client, 0) == {201}
            assert said(service, "lock server") == []
            for number in (1, 2):
                server.stop()
                assert await orders(client, 100 * number) == {503}
                assert await orders(client, 100 * number + 50) == {503}
                assert len(said(service, "is away")) == number
                server.start()
                await asyncio.to_thread(eventually, lambda count=number: len(said(service, "is back after")) == count)
                assert await orders(client, 100 * number + 30) == {201}
            assert len(said(service, "lock")) == 4
        assert service.stop() == 0
    assert (await audited(url))[1] == []


@pytest.mark.redis
async def test_a_redis_that_was_never_there(redis_server, tmp_path):
    """Stopped before the service starts: it listens, says what it lacks, and takes orders once that is back."""
    url, server = f"sqlite:///{tmp_path / 'shop.sqlite'}", redis_server()
    await prepared(url)
    server.stop()
    redis_pubsub = ("--strategy", "redis-pubsub")
    with Service(tmp_path, *redis_pubsub, may_wait=True, database=url, redis=server.url, wait_s=1) as service:
        await asyncio.to_thread(eventually, lambda: said(service, "is away"))
        server.start()
        await asyncio.to_thread(eventually, lambda: said(service, "is back after"))
        async with service.client("user-1") as client:

            async def taken():
                return (await place(client, 1)).status_code == 201

            await eventually_async(taken)
        assert len(said(service, "lock")) == 2
        assert said(service, "not ready yet")
        await asyncio.to_thread(eventually, lambda: said(service, "serving"))


@pytest.mark.redis
async def test_a_refused_login_ends_the_start(redis_server, tmp_path):
    """A password that the server does not take, and a database that it has not, are one line and exit code 2."""
    server = redis_server()
    url = f"redis://:pass-word-77@127.0.0.1:{server.port}/0"
    words = ("--port", 0, "--database", "sqlite://", "--strategy", "redis-spin")
    refused = await asyncio.to_thread(stockade, tmp_path, "serve", *words, redis=url)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: redis (from STOCKADE_REDIS): lock server: ERR ")
    assert "pass-word-77" not in line
    other = await refusal("sqlite://", "redis-spin", redis=f"redis://127.0.0.1:{server.port}/99")
    assert other.startswith("redis: lock server: ERR ")


@pytest.mark.redis
async def test_a_login_that_is_refused_later(redis_server, tmp_path):
    """While the server asks for a password that the service does not have, orders are 503 and none is an error of its
    own; taken away again, orders go on by themselves."""
    url, server = f"sqlite:///{tmp_path / 'shop.sqlite'}", redis_server()
    await prepared(url, products=1, stock=1_000)
    operator = redis.Redis.from_url(server.url)
    with Service(tmp_path, "--strategy", "redis-pubsub", database=url, redis=server.url, wait_s=1) as service:
        async with service.client("user-1") as client:
            assert await orders(client, 0) == {201}
            operator.config_set("requirepass", "secret")  # open connections need no password
            with redis.Redis.from_url(server.url, password="secret") as other:
                other.client_kill_filter(_type="normal", skipme=True)
                assert await orders(client, 100) == {503}
                assert await orders(client, 200) == {503}
                other.config_set("requirepass", "")
            await asyncio.to_thread(eventually, lambda: len(said(service, "is back after")) == 1)
            assert await orders(client, 300) == {201}
        assert len(said(service, "is away")) == 1
        assert "Traceback" not in service.log.read_text()
        assert service.stop() == 0
    operator.close()
    assert (await audited(url))[1] == []
