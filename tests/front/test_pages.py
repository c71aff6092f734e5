"""Orders, points and the administrator's view through the pages, by a visitor without a script."""

import asyncio
import html
import re

from sqlalchemy import update

from stockade.core import Busy, Pending, Unknown
from stockade.devservers import Servers
from stockade.kafka.dead_letters import DeadLetter
from stockade.kafka.message import Record
from stockade.shop.front import handlers
from stockade.shop.front.languages import Words
from stockade.shop.front.pages import admin
from stockade.shop.model.tables import skus
from stockade.store.schema.tables import outbox
from tests.front.conftest import Form
from tests.http.stand_ins import Failing, Held


def order_of(answer):
    """The id of the order to which a form has led."""
    assert answer.status_code == 303, answer.text
    return re.match(r"/shop/orders/(\w+)", answer.headers["location"])[1]


async def in_basket(visitor, product, quantity):
    """Put units of a product into the basket, through its page."""
    put = await visitor.send(f"/shop/products/{product}", "/shop/basket", quantity=quantity)
    assert put.headers["location"] == "/shop/basket"


async def test_one_form_is_one_order(ann):
    """The same form sent twice leads to one order and says so; other content is refused; another form is another
    order, which is the control."""
    product, _ = await ann.product(stock=20)
    page = f"/shop/products/{product}"
    form = await ann.form(page, "/shop/basket", quantity=2)
    first, second = await ann.post("/shop/orders", form), await ann.post("/shop/orders", form)
    assert order_of(first) == order_of(second)
    assert "again" not in first.headers["location"]
    assert "This is the order of your first click" in (await ann.get(second.headers["location"])).text
    other = await ann.post("/shop/orders", [*(f for f in form if f[0] != "quantity"), ("quantity", "3")])
    assert other.status_code == 422
    assert len(await ann.orders()) == 1
    await ann.send(page, "/shop/basket", to="/shop/orders")
    assert len(await ann.orders()) == 2


async def test_a_page_and_the_api_know_the_same_key(ann):
    """A form of the page is the request of the API with its key: both have the same order."""
    product, sku = await ann.product()
    form = await ann.form(f"/shop/products/{product}", "/shop/basket", quantity=2)
    made = order_of(await ann.post("/shop/orders", form))
    body = {"lines": [{"sku_id": sku, "quantity": 2}], "pay": "POINTS", "expected_total": 2000}
    again = await ann.api.post("/v1/orders", body, key=dict(form)["key"])
    assert (again.headers["idempotent-replayed"], again.json()["order_id"]) == ("true", made)


async def test_the_basket_to_an_order_that_is_paid_and_cancelled(ann):
    """Reserved from the basket, paid with points, cancelled: the pages show each state, and the points come back."""
    product, _ = await ann.product(stock=5)
    await in_basket(ann, product, 3)
    placed = await ann.send("/shop/basket", "/shop/orders", pay="LATER")
    path = f"/shop/orders/{order_of(placed)}"
    assert "Reserved until" in (await ann.get(placed.headers["location"])).text
    assert "The basket is empty" in (await ann.get("/shop/basket")).text
    await ann.send(path, f"{path}/pay")
    assert "Pay with points" not in (await ann.get(path)).text
    assert (await ann.orders())[0]["status"] == "PAID"
    await ann.send(path, f"{path}/cancel", reason="too many")
    page = (await ann.get(path)).text
    assert "Cancelled" in page
    assert "Given back" in page
    points = (await ann.get("/shop/points")).text
    assert "−3,000" in points
    assert "+3,000" in points


async def test_a_shortage_stands_beside_its_line(ann):
    """An order of too much is refused as a whole; the basket says at the line how much there is."""
    product, sku = await ann.product(stock=2)
    plenty, _ = await ann.product(stock=50)
    await in_basket(ann, product, 9)
    await in_basket(ann, plenty, 1)
    answer = await ann.send("/shop/basket", "/shop/orders")
    assert answer.headers["location"].startswith("/shop/basket?refused=")
    row = re.search(rf"{sku}</span>.*?</tr>", (await ann.get(answer.headers["location"])).text, re.DOTALL)[0]
    assert "You asked for 9, and 2 are there." in row
    assert await ann.orders() == []


async def test_another_price_than_shown_buys_nothing(ann):
    """A price that was edited after the page was made refuses the order; the new page has the new price."""
    product, sku = await ann.product()
    await in_basket(ann, product, 1)
    form = await ann.form("/shop/basket", "/shop/orders")
    body = {"version": 1, "name": "a shirt", "category": "clothes", "status": "ACTIVE"}
    admin = ann.api.as_user("root", admin=True)
    await admin.send("PUT", f"/v1/products/{product}", key="e", json={**body, "skus": [{"id": sku, "price": 1500}]})
    answer = await ann.post("/shop/orders", form)
    page = (await ann.get(answer.headers["location"])).text
    assert "A price has changed meanwhile" in page
    assert "₩1,500" in page
    assert order_of(await ann.send("/shop/basket", "/shop/orders"))


async def test_the_basket_is_changed_and_emptied(ann):
    """Quantities are set, each with its line, and lines are taken out."""
    (one, _), (two, _) = await ann.product(), await ann.product()
    await in_basket(ann, one, 1)
    await in_basket(ann, two, 2)
    form = [pair for pair in await ann.form("/shop/basket", "/shop/orders") if pair[0] != "quantity"]
    assert (await ann.post("/shop/basket", [*form, ("quantity", "4"), ("quantity", "5")])).status_code == 303
    held = [each["quantity"] for each in (await ann.api.get("/v1/users/ann/cart")).json()["items"]]
    assert held == [4, 5]
    await ann.send("/shop/basket", "/shop/basket/remove")
    assert len((await ann.api.get("/v1/users/ann/cart")).json()["items"]) == 1
    for quantity in ("x", "-1", "9" * 20):
        assert (await ann.post("/shop/basket", [*form, ("quantity", quantity), ("quantity", "1")])).status_code == 400


async def test_a_queued_order_is_shown_while_it_waits(ann):
    """Under a log the order is PENDING on its page, for its buyer only, until it is decided; then it is the order."""
    product, _ = await ann.product()
    form = await ann.form(f"/shop/products/{product}", "/shop/basket")
    before = ann.api.state.shop.strategies["stock"]
    Failing(ann.api.state.shop, Pending("x"))
    answer = await ann.post("/shop/orders", form)
    ann.api.state.shop.strategies["stock"] = before
    place = answer.headers["location"]
    page = (await ann.get(place)).text
    assert "waits for its turn" in page
    english = await ann.get(html.unescape(re.search(r'href="(/shop/language\?to=en[^"]*)"', page)[1]))
    assert english.headers["location"] == place, "the language link has the proof too"
    assert (await ann.get(place, Accept="application/json")).json() == {"status": "PENDING"}
    assert (await ann.get(place.partition("?")[0])).status_code == 404, "without the proof it is not there"
    assert order_of(await ann.post("/shop/orders", form)) == order_of(answer)
    assert (await ann.get(place, Accept="application/json")).json() == {"status": "PAID"}
    assert "What was ordered" in (await ann.get(place)).text


async def test_not_now_offers_the_same_form_again(ann):
    """503 and 504 say in a sentence what is known, and have a button with the same key; pressing it makes one order."""
    product, _ = await ann.product()
    form = await ann.form(f"/shop/products/{product}", "/shop/basket")
    before = ann.api.state.shop.strategies["stock"]
    for error, status, pause, words in (
        (Busy("full", "TOO_MANY_REQUESTS", retry_after_s=2.5), 429, "3", "Nothing has happened."),
        (Busy("away", retry_after_s=7), 503, "7", "Nothing has happened."),
        (Unknown("x"), 504, "1", "Whether it happened is not known yet."),
    ):
        Failing(ann.api.state.shop, error)
        answer = await ann.post("/shop/orders", form)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, pause)
        assert words in answer.text
        assert dict(form)["key"] in answer.text
        told = (await ann.post("/shop/orders", form, Accept="application/json")).json()
        assert told["retry"] is True
    ann.api.state.shop.strategies["stock"] = before
    assert order_of(await ann.post("/shop/orders", form))
    assert len(await ann.orders()) == 1


async def test_too_many_at_once_offers_the_same_form_again(visit):
    """Above `max_in_flight` the page of the refusal has the form once more, if it is one of this session; a GET and a
    form of nobody have none."""
    async with visit(max_in_flight=1) as ann:
        await ann.api.charge()
        await ann.sign_in()
        product, _ = await ann.product()
        page = f"/shop/products/{product}"
        first, form = [await ann.form(page, "/shop/basket") for _ in range(2)]
        held = Held(ann.api.state.shop)
        working = asyncio.create_task(ann.post("/shop/orders", first))
        await asyncio.wait_for(held.arrived.wait(), 10)
        refused = await ann.post("/shop/orders", form)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        (offered,) = [fields for action, fields in Form(refused.text).forms if action == "/shop/orders"]
        assert dict(offered) == dict(form)
        told = (await ann.post("/shop/orders", form, Accept="application/json")).json()
        assert told["retry"] is True
        forged = [(name, value) for name, value in form if name != "form_token"]
        for answer in (
            await ann.post("/shop/orders", forged),
            await ann.post("/shop/orders", form, Origin="https://evil.example"),
            await ann.get(page),
        ):
            assert answer.status_code == 429
            assert "Try again with the same key" not in answer.text
        held.go.set()
        assert order_of(await working) != order_of(await ann.post("/shop/orders", offered))
        assert len(await ann.orders()) == 2


async def test_a_refused_form_is_read_in_bounds(visit, monkeypatch):
    """A form above `max_in_flight` that does not arrive is not waited for, and above `MAX_REFUSED` none is read."""
    monkeypatch.setattr(handlers, "REFUSED_WAIT_S", 0.01)
    async with visit(max_in_flight=1) as ann:
        form = await ann.form("/shop/sign-in", "/shop/sign-in", token="x")
        ann.api.state.concurrency.enter()
        never = asyncio.Event()

        async def late():
            yield b"form_token="
            await never.wait()

        content = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await asyncio.wait_for(ann.http.post("/shop/sign-in", content=late(), headers=content), 10)
        assert (answer.status_code, "Try again with the same key" in answer.text) == (429, False)
        assert "Try again with the same key" in (await ann.post("/shop/sign-in", form)).text
        monkeypatch.setattr(handlers, "MAX_REFUSED", 0)
        assert "Try again with the same key" not in (await ann.post("/shop/sign-in", form)).text
        ann.api.state.concurrency.leave()


async def test_the_administrator_sees_and_corrects_the_stock(ann):
    """An adjustment moves the stock once, however often its form is sent; removing too much is refused."""
    _, sku = await ann.product(stock=7)
    await ann.sign_in("root", admin=True)
    form = await ann.form("/shop/admin", "/shop/admin/stock", delta="+5", reason="counted")
    for _ in range(2):
        assert "notice=DONE" in (await ann.post("/shop/admin/stock", form)).headers["location"]
    assert (await ann.api.get(f"/v1/skus/{sku}/stock")).json()["on_hand"] == 12
    refused = await ann.send("/shop/admin", "/shop/admin/stock", delta=-99, reason="broken <glass>")
    page = (await ann.get(refused.headers["location"])).text
    assert "There is too little in stock" in page
    assert f"{sku} stays as it is: -99 was refused." in page
    again = next(dict(fields) for where, fields in Form(page).forms if where == "/shop/admin/stock")
    assert (again["sku"], again["delta"], again["reason"]) == (sku, "-99", "broken <glass>")


async def test_the_audit_is_run_and_finds_what_is_broken(ann):
    """A sound shop passes; with one unit too many in the stock the rule and the place are shown."""
    _, sku = await ann.product(stock=7)
    await ann.sign_in("root", admin=True)
    assert "Every rule holds" in (await ann.send("/shop/admin/audit", "/shop/admin/audit")).text
    broken = update(skus).where(skus.c.id == sku).values(on_hand=8)
    await ann.api.state.shop.database.write(lambda conn: conn.execute(broken), timeout_s=5)
    page = (await ann.send("/shop/admin/audit", "/shop/admin/audit")).text
    assert "Broken rules" in page
    assert f"stock:{sku}" in page


async def test_an_audit_that_takes_too_long_is_ended(ann, monkeypatch):
    """The page says so, and where a large shop is checked."""
    count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1e12) SELECT count(*) FROM c"
    await ann.sign_in("root", admin=True)
    with monkeypatch.context() as patched:
        patched.setattr(admin, "READ_WAIT_S", 0.01)
        patched.setattr(admin, "summary", lambda conn: conn.exec_driver_sql(count).scalar())
        ended = await ann.send("/shop/admin/audit", "/shop/admin/audit")
    assert ended.status_code == 503
    assert "<code>stockade audit</code>" in ended.text
    assert "Every rule holds" in (await ann.send("/shop/admin/audit", "/shop/admin/audit")).text


async def test_a_defect_has_a_number(ann, monkeypatch):
    """The page of a defect has the number under which the log has its cause."""

    async def broken(*_, **__):
        raise RuntimeError("a defect")

    monkeypatch.setattr(ann.api.state.shop, "read", broken)
    page = await ann.get("/shop")
    assert page.status_code == 500
    assert f"<code>{page.headers['x-log-id']}</code>" in page.text
    assert 'href="/shop">Open the page again' in page.text


async def test_dead_letters_are_shown_and_sent_again(ann):
    """An event that the sink refused is listed with the reason; chosen and sent again, it waits once more."""
    _, sku = await ann.product()
    await ann.api.order(sku)
    dead = update(outbox).values(state="DEAD", error="no such <topic>")
    await ann.api.state.shop.database.write(lambda conn: conn.execute(dead), timeout_s=5)
    await ann.sign_in("root", admin=True)
    page = (await ann.get("/shop/admin/events")).text
    assert "no such &lt;topic&gt;" in page
    assert "order.placed" in page
    chosen = re.search(r'name="event" value="(\d+)"', page)[1]
    sent = await ann.send("/shop/admin/events", "/shop/admin/events", event=chosen)
    assert sent.headers["location"] == "/shop/admin/events?sent=1"


async def test_dead_letters_of_the_log_are_shown(visit, monkeypatch):
    """A command that no worker could carry out is listed with its reason; without the brokers the page says so."""
    letter = DeadLetter(7, "no such <command>", "0:12", Record(0, 12, b"sku-1", b"{}", {}), None)
    answers = iter([[letter], [], Busy("no broker")])

    async def asked(options, most):
        answer = next(answers)
        if isinstance(answer, Busy):
            raise answer
        return answer

    monkeypatch.setattr(admin, "dead_letters", asked)
    async with visit(kafka_bootstrap="127.0.0.1:1") as ann:
        await ann.sign_in("root", admin=True)
        shown, none, away = [(await ann.get("/shop/admin/events")).text for _ in range(3)]
    assert "no such &lt;command&gt;" in shown
    assert "0:12" in shown
    assert "no such" not in none + away
    assert Words("en")("admin.log_down") in away


async def test_a_payment_through_the_gateway(visit):
    """A declined card charges nobody and leaves the order reserved; another card pays it, and points too."""
    with Servers() as servers:
        gateway = servers.gateway()
        async with visit(gateway="test", gateway_url=gateway.url) as ann:
            product, _ = await ann.product()
            await ann.sign_in()
            await in_basket(ann, product, 2)
            path = f"/shop/orders/{order_of(await ann.send('/shop/basket', '/shop/orders', pay='LATER'))}"
            gateway_form = {"method": "PG", "amount": 2000}
            declined = await ann.send(path, f"{path}/pay", card="fault-decline", **gateway_form)
            assert "The payment was declined" in (await ann.get(declined.headers["location"])).text
            assert (await ann.orders())[0]["status"] == "RESERVED"
            await ann.send(path, f"{path}/pay", card="card", **gateway_form)
            assert (await ann.orders())[0]["status"] == "PAID"
            opened = await ann.send("/shop/points", "/shop/points", method="PG", amount=500)
            charge = opened.headers["location"]
            await ann.send(charge, f"{charge}/confirm", card="card")
            assert "Approved" in (await ann.get(charge)).text
            assert (await ann.api.get("/v1/users/ann/points")).json()["balance"] == 500
