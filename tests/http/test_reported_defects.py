"""Defects that the reports of the Java and the Kotlin project describe (docs/glossary.md), seen by an HTTP client."""

import asyncio
from collections import Counter

import pytest

from stockade.shop.config.strategy_choice import STRATEGY_GROUPS
from stockade.strategies import registry
from tests.http.test_bad_input import assert_problem
from tests.http.test_operations import samples


def counted(answers):
    """How many answers of each kind: the status, or the code of a refusal."""
    return Counter(each.json().get("code", each.status_code) for each in answers)


async def test_sold_out_is_never_a_server_error(client):
    """Of 60 buyers on 20 units, 20 are served and 40 receive OUT_OF_STOCK: no 500, and the reason is counted."""
    (sku,) = await client.product(stock=20)
    answers = await asyncio.gather(*(client.order(sku, 1, pay="LATER", key=f"k{n}") for n in range(60)))
    assert counted(answers) == {201: 20, "OUT_OF_STOCK": 40}
    assert (await client.get(f"/v1/skus/{sku}/stock")).json()["available"] == 0


async def racing_charges(client, count=12):
    """Simultaneous charges of one account, each with its own key."""
    await client.charge(1)
    body = {"amount": 10, "method": "INSTANT"}
    path = f"/v1/users/{client.user}/point-charges"
    return await asyncio.gather(*(client.post(path, body, key=f"race-{n}") for n in range(count)))


async def test_a_lost_optimistic_race_is_a_retryable_conflict(start):
    """Without retries a lost race is 409 CONFLICT_RETRY, and the same key may simply be sent again."""
    async with start(strategy_stock="optimistic", strategy_points="optimistic", retries=0) as client:
        answers = await racing_charges(client)
        lost = [number for number, answer in enumerate(answers) if answer.status_code != 201]
        assert lost, "no race was lost: the control proves nothing"
        for number in lost:
            assert_problem(answers[number], 409, "CONFLICT_RETRY")
        won = len(answers) - len(lost)
        assert (await client.get("/v1/users/ann/points")).json()["balance"] == 1 + 10 * won
        body = {"amount": 10, "method": "INSTANT"}
        for number in lost:
            again = await client.post("/v1/users/ann/point-charges", body, key=f"race-{number}")
            assert again.status_code == 201
        assert (await client.get("/v1/users/ann/points")).json()["balance"] == 1 + 10 * len(answers)


async def test_with_retries_every_charge_succeeds(start):
    """With retries nobody who could be served is sent away."""
    async with start(strategy_stock="optimistic", strategy_points="optimistic") as client:
        assert counted(await racing_charges(client)) == {201: 12}


async def test_nobody_charges_or_orders_for_someone_else(client):
    """The path's user must be the token's, whatever the token's holder writes there."""
    mallory = client.as_user("mallory")
    body = {"amount": 1, "method": "INSTANT"}
    assert_problem(await mallory.post("/v1/users/ann/point-charges", body), 403, "FORBIDDEN")
    assert_problem(await client.post("/v1/users/ann/point-charges", body, token="ann"), 401, "UNAUTHENTICATED")
    assert (await client.get("/v1/users/ann/points")).status_code == 404
    (sku,) = await client.product()
    await mallory.charge(5000)
    order = (await mallory.order(sku)).json()["order_id"]
    seen = await client.as_user("root", admin=True).get(f"/v1/orders/{order}")
    assert seen.json()["user_id"] == "mallory"


async def reserved(client):
    """A reserved order of 1,000 won."""
    (sku,) = await client.product(price=1000)
    return (await client.order(sku, 1, pay="LATER")).json()["order_id"]


async def test_a_later_second_payment_is_refused(client):
    """An order that is paid cannot be paid again, also not with another key, and the money is taken once."""
    await client.charge(5000)
    order = await reserved(client)
    path = f"/v1/orders/{order}/payments"
    assert (await client.post(path, {"method": "POINTS"})).status_code == 200
    assert_problem(await client.post(path, {"method": "POINTS"}), 409, "ALREADY_PAID")
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 4000


async def test_simultaneous_payments_are_one(client):
    """Ten simultaneous payments with ten keys are one payment and nine ALREADY_PAID, never a 500."""
    await client.charge(50_000)
    order = await reserved(client)
    path = f"/v1/orders/{order}/payments"
    answers = await asyncio.gather(*(client.post(path, {"method": "POINTS"}, key=f"p{n}") for n in range(10)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    assert {answer.json().get("code") for answer in answers} == {None, "ALREADY_PAID"}
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 49_000


async def test_only_the_owner_pays(client):
    """An order of someone else is not there to be paid, not even for an administrator."""
    order = await reserved(client)
    for payer in (client.as_user("bob"), client.as_user("root", admin=True)):
        await payer.charge(5000)
        answer = await payer.post(f"/v1/orders/{order}/payments", {"method": "POINTS"})
        assert_problem(answer, 404, "ORDER_NOT_FOUND")
        assert (await payer.get(f"/v1/users/{payer.user}/points")).json()["balance"] == 5000


@pytest.mark.parametrize("quantity", [-1, 0, -(10**12), 10**12])
async def test_no_quantity_adds_stock_or_mints_points(client, quantity):
    """Negative, zero and absurd quantities change neither stock nor points."""
    (sku,) = await client.product(stock=5)
    await client.charge(1000)
    assert_problem(await client.order(sku, quantity), 400, "INVALID_REQUEST")
    assert (await client.get(f"/v1/skus/{sku}/stock")).json()["on_hand"] == 5
    assert (await client.get("/v1/users/ann/points")).json()["balance"] == 1000


@pytest.mark.parametrize("amount", [0, -1000])
async def test_no_charge_of_nothing_or_less(client, amount):
    """A charge of zero or less is refused and leaves no account behind."""
    answer = await client.post("/v1/users/ann/point-charges", {"amount": amount, "method": "INSTANT"})
    assert_problem(answer, 400, "INVALID_REQUEST")
    assert (await client.get("/v1/users/ann/points")).status_code == 404


ON_SQLITE = [name for name in registry.names() if "sqlite" in registry.guarantees(name).databases]
LOCAL = [name for name in ON_SQLITE if not registry.guarantees(name).needs]


@pytest.mark.parametrize("name", LOCAL)
async def test_http_orders_run_under_the_chosen_strategy(start, name):
    """What is configured is what the API runs under, for orders and for points."""
    async with start(strategy_stock=name, strategy_points=name, allow_overselling="yes") as client:
        (sku,) = await client.product()
        await client.charge()
        assert (await client.order(sku)).status_code == 201
        found = await samples(client)
        for command in ("place_order", "charge_points"):
            assert found["stockade_commands_total", "ACCEPTED", command, name] == 1
        assert {client.state.shop.strategies[group].name for group in STRATEGY_GROUPS} == {name}


async def test_the_sequencer_really_batches_http_orders(start):
    """Fifty simultaneous HTTP orders take far fewer transactions than orders under the sequencer."""
    async with start(strategy_stock="sequencer", strategy_points="sequencer") as client:
        (sku,) = await client.product(stock=100)
        before = client.state.shop.store.stats.transactions
        await asyncio.gather(*(client.order(sku, 1, pay="LATER", key=f"k{n}") for n in range(50)))
        assert client.state.shop.store.stats.transactions - before < 25
