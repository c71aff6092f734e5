"""How the requests are sent: complete only after all connections are open, together, also over TLS; or at a rate."""

import asyncio
import gc
import os
import ssl
from types import SimpleNamespace

import pytest

from stockade.race import RaceError, Request, Target, load, run
from stockade.race.steps import open_loop
from stockade.race.steps.release import release_together
from tests.identity.test_tls import certificate
from tests.race.services import http, scenario, service


def answers_together(number):
    """Answers when so many requests are complete, so that all are in flight at one moment."""
    last, complete = asyncio.Event(), []

    async def answer(head, body):
        complete.append(head)
        if len(complete) == number:
            last.set()
        await asyncio.wait_for(last.wait(), 5)
        return http(201)

    return answer


@pytest.fixture
def tls(tmp_path):
    """The context of a server with a certificate of its own, and the file to trust."""
    own, secret = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, secret)
    return context, str(own)


KINDS = {  # a server may begin with the first two when it has the head, and with the third when it does not read bodies
    "GET": Request(path="/orders", method="GET"),
    "POST without a body": Request(path="/orders"),
    "POST with a body": Request(path="/orders", json={"buyer": "{n}"}),
}


@pytest.mark.parametrize("request_", KINDS.values(), ids=KINDS)
async def test_no_head_is_complete_before_all_requests_have_begun(request_):
    """The server has begun to read every request when it gets all of the first head, with or without a body."""
    async with service() as shop:
        result = await run(load(scenario(shop.url, requests=[request_], race={"buyers": 60})))
    assert result.rounds[0].counts["success"] == len(shop.headed) == 60
    assert max(shop.began) < min(shop.headed)
    assert 0 < result.rounds[0].spread_s < 1


@pytest.mark.parametrize("answer", [http(201), b"", b"HTTP/1.1 201"], ids=["an answer", "the end", "half an answer"])
async def test_a_server_that_answers_before_the_release_ends_the_race(answer):
    """One that begins with the first byte cannot be raced: there is no verdict, and no latency."""
    async with service(early=answer) as shop:
        with pytest.raises(RaceError, match=r"POST /orders: the server answered, or ended .* before the head"):
            await run(load(scenario(shop.url)))


@pytest.mark.parametrize("over_tls", [False, True])
async def test_a_body_that_is_larger_than_the_buffer_of_a_socket(over_tls, tls):
    """All of it comes: what the release could not send is sent afterwards."""
    context, ca_file = tls
    sizes = []
    async with service(lambda head, body: sizes.append(len(body)) or http(201), context if over_tls else None) as shop:
        target = Target(url=shop.url, ca_file=ca_file if over_tls else "")
        parts = {"target": target, "requests": [Request(path="/", body="x" * 9_000_000)], "race": {"buyers": 2}}
        result = await run(load(scenario(shop.url, **parts)))
    assert result.rounds[0].counts["success"] == 2
    assert sizes == [9_000_000] * 2
    assert max(shop.opened) < min(shop.headed)


def test_the_sender_is_put_in_front_for_the_release_only():
    """While the last bytes leave no usual thread comes between; afterwards this one is a usual one again."""
    before, seen = os.sched_getscheduler(0), []
    byte = SimpleNamespace(release=lambda: seen.append((os.sched_getscheduler(0), gc.isenabled())))
    assert release_together([SimpleNamespace(connection=byte, released_s=0.0)]) >= 0
    assert seen == [(os.SCHED_FIFO if may_be_in_front() else before, False)]
    assert (os.sched_getscheduler(0), gc.isenabled()) == (before, True)


async def test_a_thousand_requests_are_released_together():
    """Within a tenth of a second where the sender may be put in front (11 ms on a machine that does nothing else)."""
    parts = {"race": {"buyers": 1000, "timeout_s": 60.0, "rounds": 2}, "invariants": {"together": "spread_ms < 1000"}}
    async with service() as shop:
        result = await run(load(scenario(shop.url, **parts)))
        assert result.passed
        assert all(each.counts["success"] == 1000 for each in result.rounds)
        assert min(each.spread_s for each in result.rounds) < (0.1 if may_be_in_front() else 1)
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
    async with service(answers_together(60)) as shop:
        await run(load(scenario(shop.url, race={"buyers": 60, "rate_per_s": 2000.0})))
    assert max(shop.began) > min(shop.headed)


async def test_over_tls_no_head_is_complete_before_all_connections_are_open(tls):
    """What a server decrypts is no head before the release; a certificate that is not trusted ends the race."""
    context, ca_file = tls
    async with service(tls=context) as shop:
        parts = scenario(shop.url, target=Target(url=shop.url, ca_file=ca_file), race={"buyers": 20})
        assert (await run(load(parts))).passed
        assert len(shop.headed) == 20
        assert max(shop.opened) < min(shop.headed)
        with pytest.raises(RaceError, match=r"one of 20 connections failed: .*certificate verify failed"):
            await run(load(scenario(shop.url, race={"buyers": 20})))


async def test_over_tls_requests_that_are_sent_whole_are_complete_before_all_connections_are_open(tls, monkeypatch):
    """The control: at a rate, with connections that are opened just before, some heads are complete before others."""
    monkeypatch.setattr(open_loop, "_LEAD_S", 0.01)
    context, ca_file = tls
    race = {"buyers": 20, "rate_per_s": 100.0, "least_decided": 0.0}
    async with service(answers_together(20), tls=context) as shop:
        await run(load(scenario(shop.url, target=Target(url=shop.url, ca_file=ca_file), race=race)))
    assert max(shop.opened) > min(shop.headed)


async def test_an_open_loop_sends_at_its_rate():
    """Twenty requests at 200 a second begin over about 95 ms, although no answer comes before the last request."""
    async with service(answers_together(20)) as shop:
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
