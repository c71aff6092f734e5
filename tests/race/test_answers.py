"""Answers that are none, late, broken or of another kind: each is counted as what it is, and every wait ends."""

import asyncio

import pytest

from stockade.race import Answer, Matching, RaceError, Response, load, run
from stockade.race.steps.verdict import most_at_once
from tests.race.services import http, scenario, service

ANY = {"least_decided": 0.0}  # whatever was answered is enough


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
    parts = {"success": Matching(where={"/state": "OK"}), "invariants": {"one": "successes = 1"}, "race": ANY}
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
    assert result.rounds[0].latency_s(0.5) == 0.3  # what was given up is not left out of the percentiles


async def test_a_broken_connection_is_an_answer_that_is_missing():
    """The server ends the connection without a word."""
    parts = {"invariants": {"all": "errors = 2"}, "race": ANY}
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


DECIDED = {  # answers of five buyers -> whether invariants that hold prove something
    "all are accepted or refused": ([http(201), http(409), http(409), http(409), http(409)], True),
    "one of five breaks": ([http(201), http(409), http(409), http(409), b""], False),
    "most break": ([http(201), b"", b"", b"", b""], False),
    "most fail": ([http(201), http(500), http(500), http(500), http(500)], False),
}


@pytest.mark.parametrize(("answers", "enough"), DECIDED.values(), ids=DECIDED)
async def test_a_round_with_few_decided_requests_proves_nothing(answers, enough):
    """There is no verdict when too few were accepted or refused, although all invariants hold."""
    async with service(by_buyer(answers)) as shop:
        race = run(load(scenario(shop.url, invariants={"few": "successes <= 1"})))
        if enough:
            assert (await race).passed
        else:
            with pytest.raises(RaceError, match=r"only \d of 5 requests were accepted or refused"):
                await race


async def test_a_violation_counts_however_few_are_decided():
    """What is broken is broken: it needs no share."""
    async with service(by_buyer([http(201), b"", b"", b"", b""])) as shop:
        assert not (await run(load(scenario(shop.url, invariants={"none fails": "errors = 0"})))).passed


@pytest.mark.parametrize("rate_per_s", [10.0, 0.0])
async def test_requests_that_never_meet_prove_nothing(rate_per_s):
    """A rate so slow that each is answered before the next one is sent is no race; at the same moment it is one."""
    async with service() as shop:
        race = run(load(scenario(shop.url, race={"buyers": 3, "rate_per_s": rate_per_s})))
        if rate_per_s:
            with pytest.raises(RaceError, match="no two requests were in flight at the same moment"):
                await race
        else:
            assert (await race).rounds[0].at_once > 1


def test_how_many_are_in_flight():
    """Of spans that only touch, none is at the same moment; an answer that is missing does not count."""
    flights = {1: [(0, 1), (1, 2), (2, 3)], 2: [(0, 2), (1, 3), (2, 4)], 3: [(0, 9), (1, 8), (2, 7)], 0: []}
    for most, spans in flights.items():
        answers = [Answer(0, 0, "", 1.0, Response(201, b""), sent_s=begin, ended_s=end) for begin, end in spans]
        assert most_at_once([*answers, Answer(0, 0, "", 9.0)]) == most


async def test_a_release_that_takes_too_long_proves_nothing():
    """With a bound that no release keeps there is no verdict; with the usual one there is (control)."""
    async with service() as shop:
        assert (await run(load(scenario(shop.url)))).passed
        with pytest.raises(RaceError, match=r"from the first release to the last, which is no race"):
            await run(load(scenario(shop.url, race={"most_spread_ms": 0.000_001})))


def test_one_buyer_is_no_race():
    """A race has two buyers at least."""
    with pytest.raises(RaceError, match=r"race.buyers: expected a whole number >= 2"):
        load(scenario("http://127.0.0.1:1", race={"buyers": 1}))
