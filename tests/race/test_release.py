"""How the requests are sent: complete only after all connections are open, together, also over TLS; or at a rate."""

import asyncio
import gc
import os
import ssl
from types import SimpleNamespace

import pytest

from stockade.race import RaceError, Request, Target, load, run
from stockade.race.steps.release import release_together
from tests.identity.test_tls import certificate
from tests.race.services import http, scenario, service


@pytest.fixture
def tls(tmp_path):
    """The context of a server with a certificate of its own, and the file to trust."""
    own, secret = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, secret)
    return context, str(own)


async def test_no_request_is_complete_before_all_have_begun():
    """The server has begun to read every request when the first one becomes complete."""
    async with service() as shop:
        result = await run(load(scenario(shop.url, race={"buyers": 60})))
    assert result.rounds[0].counts["success"] == len(shop.complete) == 60
    assert max(shop.began) < min(shop.complete)
    assert 0 < result.rounds[0].spread_s < 1


def test_the_sender_is_put_in_front_for_the_release_only():
    """While the last bytes leave no usual thread comes between; afterwards this one is a usual one again."""
    before, seen = os.sched_getscheduler(0), []
    byte = SimpleNamespace(release=lambda: seen.append((os.sched_getscheduler(0), gc.isenabled())))
    assert release_together([SimpleNamespace(connection=byte, released_s=0.0)]) >= 0
    assert seen == [(os.SCHED_FIFO if may_be_in_front() else before, False)]
    assert (os.sched_getscheduler(0), gc.isenabled()) == (before, True)


async def test_a_thousand_requests_are_released_together():
    """Within 15 ms where the sender may be put in front; an invariant may demand it."""
    parts = {"race": {"buyers": 1000, "timeout_s": 60.0, "rounds": 2}, "invariants": {"together": "spread_ms < 1000"}}
    async with service() as shop:
        result = await run(load(scenario(shop.url, **parts)))
        assert result.passed
        assert all(each.counts["success"] == 1000 for each in result.rounds)
        assert min(each.spread_s for each in result.rounds) < (0.015 if may_be_in_front() else 1)
        never = {**parts, "race": {"buyers": 5}, "invariants": {"together": "spread_ms < 0"}}
        assert not (await run(load(scenario(shop.url, **never)))).passed


def may_be_in_front():
    """Whether this user may choose the policy of a thread."""
    usual = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, usual, os.sched_param(0))
    return True


async def test_requests_that_are_sent_whole_are_complete_before_all_have_begun():
    """The control: without the last byte held back, as at a rate, some are complete before others begin."""
    async with service() as shop:
        await run(load(scenario(shop.url, race={"buyers": 60, "rate_per_s": 2000.0})))
    assert max(shop.began) > min(shop.complete)


async def test_over_tls_the_last_byte_is_held_back_too(tls):
    """Nothing of a request can be decrypted before the release, and a certificate that is not trusted ends the race."""
    context, ca_file = tls
    async with service(tls=context) as shop:
        parts = scenario(shop.url, target=Target(url=shop.url, ca_file=ca_file), race={"buyers": 20})
        assert (await run(load(parts))).passed
        assert max(shop.complete) - min(shop.began) < 1  # the handshakes were over long before
        assert len(shop.complete) == 20
        with pytest.raises(RaceError, match=r"one of 20 connections failed: .*certificate verify failed"):
            await run(load(scenario(shop.url, race={"buyers": 20})))


async def test_an_open_loop_sends_at_its_rate():
    """Twenty requests at 200 a second begin over about 95 ms, although no answer comes before the last request."""
    last = asyncio.Event()

    async def answer(head, body):
        if len(shop.complete) == 20:
            last.set()
        await asyncio.wait_for(last.wait(), 5)
        return http(201)

    async with service(answer) as shop:
        result = await run(load(scenario(shop.url, race={"buyers": 20, "rate_per_s": 200.0})))
    assert result.rounds[0].counts["success"] == 20
    assert max(shop.complete) - min(shop.complete) > 0.08
    assert result.rounds[0].latencies_s[-1] > 0.08  # the first request waited for the last one


async def test_buyers_take_the_requests_in_turn_and_share_keys():
    """Placeholders are filled for each buyer; two buyers of one key send the same one, in each round another."""
    requests = [
        Request(path="/a?n={n}", headers={"Key": "{key}"}, json={"n": "{n:int}", "text": "{n}"}),
        Request(path="/b?n={n}", method="PUT", headers={"Key": "{key}"}, body="{n} of {round}"),
    ]
    bodies = {}

    def answer(head, body):
        bodies[head.split()[1]] = body.decode()
        return http(200)

    async with service(answer) as shop:
        await run(load(scenario(shop.url, requests=requests, race={"buyers": 4, "keys": 2, "rounds": 2})))
    assert {head.split()[0] + head.split()[1][:2] for head in shop.heads} == {"POST/a", "PUT/b"}
    assert bodies == {
        "/a?n=0": '{"n": 0, "text": "0"}',
        "/b?n=1": "1 of 2",
        "/a?n=2": '{"n": 2, "text": "2"}',
        "/b?n=3": "3 of 2",
    }
    keys = [line for head in shop.heads for line in head.splitlines() if line.startswith("Key: ")]
    assert len(keys) == 8
    assert len(set(keys)) == 4


@pytest.mark.parametrize("url", ["http://192.0.2.1:80", "http://[2001:db8::1]:80", "https://203.0.113.9"])
async def test_another_machine_is_refused(url):
    """Nothing is sent to an address that is not of this machine, unless the caller says that it is theirs."""
    with pytest.raises(RaceError, match="--target-is-mine"):
        await run(load(scenario(url)))


@pytest.mark.parametrize("rate_per_s", [0.0, 100.0])
async def test_a_request_that_is_none_is_one_line(rate_per_s):
    """A path with a blank cannot be sent, at the same moment or at a rate."""
    async with service() as shop:
        parts = {"requests": [Request(path="/a b")], "race": {"rate_per_s": rate_per_s}}
        with pytest.raises(RaceError, match="POST /a b: is no request of HTTP"):
            await run(load(scenario(shop.url, **parts)))


async def test_this_machine_is_not_refused_by_name():
    """`localhost` is looked up, and its addresses are of this machine; where nobody listens there is one line."""
    with pytest.raises(RaceError, match=r"http://localhost:1: one of 5 connections failed: "):
        await run(load(scenario("http://localhost:1")))
