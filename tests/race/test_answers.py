"""Answers that are none, late, broken or of another kind: each is counted as what it is, and every wait ends."""

import asyncio

import pytest

from stockade.race import Matching, RaceError, load, run
from tests.race.services import http, scenario, service


def by_buyer(answers):
    """An answer by the number of the buyer."""
    return lambda head, body: answers[int(body.split(b'"')[3])]


async def test_each_answer_is_what_the_scenario_says():
    """A success, another status of success, a refusal, an error, and no HTTP at all."""
    answers = [
        http(201, b'{"state": "OK"}'),
        http(201, b'{"state": "LATE"}'),
        http(409),
        http(500, b"oops"),
        b"hello\r\n\r\n",
    ]
    parts = {"success": Matching(where={"/state": "OK"}), "invariants": {"one": "successes = 1"}}
    async with service(by_buyer(answers)) as shop:
        result = await run(load(scenario(shop.url, **parts)))
    done = result.rounds[0]
    assert done.counts == {"success": 1, "refusal": 1, "error": 2, "unanswered": 1}
    assert result.passed
    assert [each.buyer for each in done.errors] == [1, 3, 4]
    assert "no answer of HTTP" in done.errors[2].error


async def test_a_server_that_does_not_answer_is_left_after_the_time_limit():
    """Those without an answer are counted as unanswered, and the invariants are judged."""
    never = asyncio.Event()

    async def answer(head, body):
        if b'"0"' not in body:
            await never.wait()
        return http(201)

    parts = {"race": {"timeout_s": 0.3}, "invariants": {"all": "unanswered = 0"}}
    async with service(answer) as shop:
        result = await run(load(scenario(shop.url, **parts)))
        never.set()
    assert result.rounds[0].counts["unanswered"] == 4
    assert result.violations[0].shown == "4 == 0"
    assert {each.error for each in result.violations[0].answers} == {"no answer within 0.3 s"}


async def test_a_broken_connection_is_an_answer_that_is_missing():
    """The server ends the connection without a word."""
    parts = {"invariants": {"all": "errors = 2"}}
    answers = [http(201), b"", b"", http(201), http(201)]
    async with service(by_buyer(answers)) as shop:
        assert (await run(load(scenario(shop.url, **parts)))).passed


async def test_a_race_without_a_success_proves_nothing():
    """There is no verdict when nothing was accepted; the line shows the first answer."""
    async with service(lambda head, body: http(401, b'{"detail": "who?"}')) as shop:
        with pytest.raises(RaceError, match=r'no request succeeded.*POST /orders gave 401: {"detail": "who\?"}'):
            await run(load(scenario(shop.url)))


async def test_a_round_stops_the_race_at_the_first_violation():
    """Rounds repeat until an invariant is broken: here the third."""
    parts = {"race": {"rounds": 9}, "invariants": {"few": "successes = 5"}}
    async with service(lambda head, body: http(409 if len(shop.complete) == 12 else 201)) as shop:
        result = await run(load(scenario(shop.url, **parts)))
    assert [len(each.violations) for each in result.rounds] == [0, 0, 1]
    assert result.violations[0].answers_in_all == 4
