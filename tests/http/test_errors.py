"""What a client receives when an order could not be decided: the right code, when to retry, and no internals."""

import asyncio
import json
import threading
import time

import pytest

from stockade.core import Busy, Conflict, IdempotencyKeyReused, LockInTransaction, LockLost, Unknown
from stockade.service.ids import TIME_DIGITS, request_id_of
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.problems import error_response, retry_after
from stockade.shop.operations import logs
from stockade.shop.shop import MAX_SLOW_READS
from tests.http.stand_ins import Failing, Held
from tests.http.test_bad_input import assert_problem
from tests.waiting import turns_until

ERRORS = [
    (Busy("host db.internal, 5 s"), 503, "LOCK_TIMEOUT", "none"),
    (Busy("pool of 8", "POOL_EXHAUSTED"), 503, "POOL_EXHAUSTED", "none"),
    (Busy("queue.internal", "TOO_MANY_REQUESTS"), 429, "TOO_MANY_REQUESTS", "none"),
    (Busy("db.internal", "DEPENDENCY_DOWN", retry_after_s=2.5), 503, "DEPENDENCY_DOWN", "none"),
    (Conflict("version.internal"), 409, "CONFLICT_RETRY", "none"),
    (Unknown("reply lost"), 504, "OUTCOME_UNKNOWN", "unknown"),
    (LockLost("late.internal"), 503, "LOCK_LOST", "unknown"),
    (IdempotencyKeyReused("other.internal"), 422, "IDEMPOTENCY_KEY_REUSED", "none"),
    (LockInTransaction("bug.internal"), 500, "INTERNAL_ERROR", "unknown"),
    (ZeroDivisionError("secret.internal"), 500, "INTERNAL_ERROR", "unknown"),
    (Busy("odd.internal", "NEVER_HEARD_OF"), 500, "INTERNAL_ERROR", "unknown"),
]


@pytest.mark.parametrize(("error", "status", "code", "outcome"), ERRORS, ids=[each[2] for each in ERRORS])
async def test_every_error_has_its_answer(client, error, status, code, outcome):
    """Busy, conflicts, unknown fates and accidents: each with its code, and its own text stays inside."""
    Failing(client.state.shop, error)
    answer = await client.order("s")
    assert_problem(answer, status, code)
    assert answer.json()["outcome"] == outcome
    assert str(error) not in answer.text
    if answer.json()["retryable"] and code != "INTERNAL_ERROR":
        assert int(answer.headers["retry-after"]) >= 0


async def test_an_accident_is_logged_with_the_id_that_the_client_sees(client, capsys):
    """The answer to an accident carries an id, and the log line with that id has the traceback."""
    logs.configure(client.state.settings)
    Failing(client.state.shop, ZeroDivisionError("secret.internal"))
    answer = await client.order("s", key="k")
    logged = [line for line in capsys.readouterr().err.splitlines() if answer.headers["x-log-id"] in line]
    assert len(logged) == 1
    line = json.loads(logged[0])
    assert "ZeroDivisionError" in line["exception"]
    assert line["request_id"] == request_id_of("ann", "POST", "/v1/orders", "k")


async def test_the_access_log_is_a_share_of_the_requests(start, capsys):
    """Off by default; with a share of 1 every request is one line, with its route, status, time and id."""
    for share, expected in ((0, 0), (1, 1)):
        async with start(access_log=share) as client:
            logs.configure(client.state.settings)
            await client.order("s", key="k")
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"request"' in line]
        assert len(lines) == expected
    assert (lines[0]["route"], lines[0]["status"]) == ("POST /v1/orders", 404)
    assert lines[0]["took_s"] > 0
    assert lines[0]["request_id"] == request_id_of("ann", "POST", "/v1/orders", "k")


async def test_a_request_without_a_key_leads_with_its_time(start, capsys):
    """What is put into a cart has no key; its id is new, and begins with the time at which it came."""
    async with start(access_log=1) as client:
        logs.configure(client.state.settings)
        (sku,) = await client.product()
        before_ms = time.time_ns() // 1_000_000
        for _ in range(2):
            put = await client.send("PUT", f"/v1/users/ann/cart/items/{sku}", json={"quantity": 2})
            assert put.status_code == 200, put.text
        after_ms = time.time_ns() // 1_000_000
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"request"' in line]
    ids = [line["request_id"] for line in lines if line["route"].startswith("PUT")]
    assert len(set(ids)) == 2
    assert all(before_ms <= int(id_[:TIME_DIGITS], 16) <= after_ms for id_ in ids)


def test_retry_after_is_whole_seconds_rounded_up():
    """A pause of 2.5 seconds is announced as 3, none as 0."""
    assert [retry_after(pause_s)[0][1] for pause_s in (0, 0.2, 1, 2.5)] == [b"0", b"1", b"1", b"3"]


def test_an_error_of_the_vocabulary_is_never_an_accident():
    """Every code that strategies and the store may raise has a row in the table."""
    for error in (Conflict("x"), Unknown("x"), LockLost("x"), IdempotencyKeyReused("x")):
        assert error.code in ERROR_CODES
        assert error_response(error) is not None


async def test_too_many_at_work_are_refused(start):
    """Beyond the bound a request is refused at once with 429 and Retry-After, and those at work are finished."""
    async with start(max_in_flight=2) as client:
        (sku,) = await client.product()
        held = Held(client.state.shop)
        inside = [asyncio.create_task(client.order(sku, 1, pay="LATER")) for _ in range(2)]
        await turns_until(lambda: client.state.concurrency.in_flight == 2)
        refused = await client.order(sku, 1, pay="LATER")
        assert_problem(refused, 429, "TOO_MANY_REQUESTS")
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/healthz")).status_code == 200
        held.go.set()
        assert [answer.status_code for answer in await asyncio.gather(*inside)] == [201, 201]
        assert (await client.order(sku, 1, pay="LATER")).status_code == 201


async def test_a_full_queue_is_429(start):
    """The sequencer's own bound reaches the client as 429; whoever fitted in is served."""
    async with start(queue_size=2, max_batch=1) as client:
        (sku,) = await client.product(stock=100)
        answers = await asyncio.gather(*(client.order(sku, 1, pay="LATER") for _ in range(50)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {201, 429}
        stock = (await client.get(f"/v1/skus/{sku}/stock")).json()
        assert stock["reserved"] == statuses.count(201)


async def test_slow_queries_are_few(start):
    """Each has connections of its own: one more than may be at work is refused at once, and others are not held up."""
    go = threading.Event()
    async with start() as client:
        shop = client.state.shop
        slow = [asyncio.create_task(shop.read(lambda c: go.wait(10), wait_s=10)) for _ in range(MAX_SLOW_READS)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Busy, match="slow queries are at work"):
                await shop.read(lambda c: None, wait_s=10)
            assert (await client.get("/v1/products")).status_code == 200
        finally:
            go.set()
        assert await asyncio.gather(*slow) == [True] * MAX_SLOW_READS
        assert await shop.read(lambda c: 1, wait_s=10) == 1


async def test_a_database_that_is_away(start, tmp_path):
    """Reads and readiness say DEPENDENCY_DOWN and NOT_READY when the database cannot be used."""
    async with start() as client:
        await client.state.shop.database.close()
        client.state.shop.database.read = down
        assert_problem(await client.get("/v1/products"), 503, "DEPENDENCY_DOWN")
        ready = await client.get("/readyz")
        assert_problem(ready, 503, "NOT_READY")


async def test_an_outage_of_the_database_is_one_line_in_the_log(start, capsys):
    """While the database refuses, every order is 503 and the log has one line, not one for each order."""
    async with start() as client:
        logs.configure(client.state.settings)
        Failing(client.state.shop, Busy("the database refuses this: no right", "DEPENDENCY_DOWN"))
        for _ in range(3):
            assert_problem(await client.order("s"), 503, "DEPENDENCY_DOWN")
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "no right" in line]
    assert (line["level"], line["operation"]) == ("warning", "place_order")


async def down(query, timeout_s=0):
    raise Busy("db.internal", "DEPENDENCY_DOWN")
