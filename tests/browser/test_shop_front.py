"""The shop front in a real browser: at phone and desktop width, by keyboard, without a script, in dark, in Korean.

Every test has a user and products of its own in one served shop. With
STOCKADE_SCREENSHOTS=1 pictures of the main states go to build/screenshots.
"""

import asyncio
import re

import pytest
import pytest_asyncio

from stockade.core import Busy, Pending
from tests.browser.served_shop import served_shop
from tests.http.stand_ins import Failing
from tests.waiting import eventually_async

BUY = "form[data-buy] button.main"
LIMIT_S = 30
KEY = re.compile(r"(?<=&key=)[^&]+")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(tmp_path_factory):
    """One served shop for all tests of this file."""
    async with served_shop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


async def in_basket(page, served, number, quantity):
    """Put units of a product of the demo into the basket, through its page."""
    await page.goto(f"{served.url}/products/product-{number}")
    await page.fill("input[name=quantity]", str(quantity))
    await page.click("form[data-buy] button:not(.main)")
    await page.wait_for_url("**/basket")


async def test_the_walk_through_the_shop(served, open_page, assert_accessible, look):
    """From the products over the basket, with too much of one, to the order and the points: each page can be used by
    everybody, in light and in dark, and fits a phone and a desktop."""
    number, user = 1, "user-1"
    page = await open_page("phone")

    async def examine(name):
        await assert_accessible(page)
        await look(page, f"shop-{name}", ("light", "dark"))

    await page.goto(served.url)
    await examine("products")
    await page.fill("input[type=search]", f"product {number}")
    await page.press("input[type=search]", "Enter")
    await page.click(f"h2 a:text-is('Product {number}')")
    await page.click("text=Sign in to buy")
    await examine("sign-in")
    await page.click(f"button[value={user}]")
    await page.wait_for_url(f"**/products/product-{number}")
    await examine("product")
    await in_basket(page, served, number, 2)
    await in_basket(page, served, number + 2, 500)
    await page.click(BUY)
    await page.wait_for_url("**refused=**")
    assert "You asked for 500, and 100 are there." in await page.text_content(".lacking")
    await examine("basket-refused")
    await page.fill(".lacking input[name=quantity]", "1")
    price = 1000 * (number * 2 + number + 2)
    assert f"{price:,}" in await page.text_content("[data-total]")
    await page.click(BUY)
    await page.wait_for_url("**/orders/**")
    assert "Thank you" in await page.text_content(".notice")
    await examine("order")
    await page.click("text=Points")
    assert f"−{price:,}" in await page.text_content("table")
    await examine("points")
    await page.click("nav >> text=Orders")
    await examine("orders")
    assert await served.orders(user) == 1


async def test_two_clicks_are_one_order(served, page, shot):
    """A real double click sends two requests with one key: the page says that both got the same order, and the
    database has one."""
    await served.sign_in(page, "user-3")
    await page.goto(f"{served.url}/products/product-5")
    keys = []
    page.on("request", lambda sent: keys.extend(KEY.findall(sent.post_data or "")))
    seen = asyncio.Event()

    async def when_seen(route):
        await seen.wait()
        await route.continue_()

    await page.route("**clicks=2**", when_seen)
    await page.dblclick(BUY)
    await page.wait_for_selector("[data-clicks] p:nth-child(2):has-text('the same order')")
    await shot(page, "shop-two-clicks")
    seen.set()
    await page.wait_for_url("**clicks=2**")
    assert "2 clicks, one order" in await page.text_content(".notice")
    await shot(page, "shop-one-order")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert await served.orders("user-3") == 1
    assert await served.on_hand("sku-5") == 99


async def test_without_the_key_two_clicks_are_two_orders(served, page):
    """The negative control: where each click has another key, a double click buys twice, and the count finds it."""
    await served.sign_in(page, "user-4")
    await page.goto(f"{served.url}/products/product-6")
    number = iter(range(9))

    async def another_key(route):
        await route.continue_(post_data=KEY.sub(f"another-{next(number)}", route.request.post_data))

    await page.route("**/shop/orders", another_key)
    await page.dblclick(BUY)
    await page.wait_for_url("**clicks=2**")
    assert await served.orders("user-4") == 2


@pytest.mark.parametrize(("one_key", "orders"), [(True, 1), (False, 2)])
async def test_two_clicks_without_a_script_are_one_order(served, open_page, one_key, orders):
    """Where the browser runs no script, the form itself is sent twice, and there is one order. The control: with
    another key in each there are two."""
    # of two clicks in the same moment Chromium sends one form, so the second click waits until the shop has the first
    user = f"user-{5 if one_key else 6}"
    page = await open_page("phone", script=False)
    await served.sign_in(page, user)
    await in_basket(page, served, 7, 1)
    sent, answered = [], asyncio.Event()

    async def send(route):
        sent.append(route.request)
        body = route.request.post_data if one_key else KEY.sub(f"another-{len(sent)}", route.request.post_data)
        if len(sent) > 1:
            await route.continue_(post_data=body)
        else:
            await route.fetch(post_data=body, max_redirects=0)
            answered.set()  # its answer does not come to the page: the second click gives it up

    await page.route("**/shop/orders", send)
    button = page.locator(BUY)
    await button.scroll_into_view_if_needed()
    box = await button.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await page.mouse.click(*middle)  # Playwright's own click would wait for the first answer
    await asyncio.wait_for(answered.wait(), LIMIT_S)
    await page.mouse.click(*middle)
    # the first click's navigation is given up, which a wait for a navigation may take for its own
    await page.locator("button.danger").wait_for()
    assert "/orders/" in page.url
    assert len(sent) == 2
    assert await served.orders(user) == orders
    assert ("This is the order of your first click" in await page.text_content("main")) == one_key
    await page.click("button.danger")
    assert "Cancelled" in await page.text_content(".head")


async def test_by_keyboard_alone(served, page):
    """The skip link comes first; search, product, quantity and the button to buy are reached and used without a
    mouse, and the focus is always seen."""
    await served.sign_in(page, "user-7")
    await page.goto(served.url)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    await reach(page, "q")
    await page.keyboard.type("product 8")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**q=product**")
    await reach(page, "Product 8")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/product-8")
    await reach(page, "quantity")
    await page.keyboard.press("ArrowUp")
    await reach(page, "Buy now with points")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/orders/**")
    assert "2" in await page.text_content("td[data-label=Quantity]")
    assert await served.orders("user-7") == 1


async def reach(page, what, most=60):
    """Press Tab until the focus is on what has this text or name."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        focus = "const it = document.activeElement; [it.textContent.trim(), it.name, it.id].includes(what)"
        if await page.evaluate(f"(what) => {{ {focus.replace('; [', '; return [')} }}", what):
            return
    pytest.fail(f"{what} is not reached by {most} times Tab")


async def test_in_korean(served, open_page, assert_accessible, shot):
    """A browser that prefers Korean gets it, with its language marked; the switch leads to English, and is kept."""
    page = await open_page("phone", language="ko")
    await page.goto(served.url)
    assert await page.get_attribute("html", "lang") == "ko"
    assert await page.text_content("h1") == "상품"
    await served.sign_in(page, "user-8")
    await in_basket(page, served, 9, 3)
    assert "27,000원" in await page.text_content("[data-total]")
    await assert_accessible(page, ("light",))
    await shot(page, "shop-korean")
    await page.click("footer a[hreflang=en]")
    await page.wait_for_url("**/basket")
    assert await page.get_attribute("html", "lang") == "en"
    await page.goto(served.url)
    assert await page.text_content("h1") == "Products"


async def test_a_queued_order_is_waited_for(served, page, assert_accessible, shot):
    """While an order is not decided its page says so, looks again by itself, and shows the order when it is there."""
    await served.sign_in(page, "user-9")
    await page.goto(f"{served.url}/products/product-10")
    before = served.shop.strategies["stock"]
    waiting = []

    class Queue(Failing):
        async def execute(self, command):
            waiting.append(command)
            raise self.error

    Queue(served.shop, Pending("x"))
    await page.click(BUY)
    await page.wait_for_url("**pending=**")
    served.shop.strategies["stock"] = before
    assert "waits for its turn" in await page.text_content("h1")
    await assert_accessible(page)
    await shot(page, "shop-queued")
    await served.shop.execute(waiting[0])
    await page.wait_for_selector(".badge.paid")
    assert await served.orders("user-9") == 1


async def test_not_now_and_again(served, open_page, assert_accessible, shot):
    """A shop that is too busy says so in a sentence; the button sends the same key again, and there is one order."""
    page = await open_page(script=False, allow=("status of 503",))
    await served.sign_in(page, "user-10")
    await page.goto(f"{served.url}/products/product-11")
    before = served.shop.strategies["stock"]
    Failing(served.shop, Busy("away", "POOL_EXHAUSTED"))
    await page.click(BUY)
    await page.wait_for_selector("text=Try again with the same key")
    served.shop.strategies["stock"] = before
    await shot(page, "shop-not-now")
    await page.click("main button.main")
    await page.wait_for_url("**/orders/**")
    assert await served.orders("user-10") == 1
    scripted = await open_page(allow=("status of 503",))
    await served.sign_in(scripted, "user-10")
    await scripted.goto(f"{served.url}/products/product-11")
    Failing(served.shop, Busy("away", "POOL_EXHAUSTED"))
    await scripted.click(BUY)
    await scripted.wait_for_selector("text=The shop is very busy")
    served.shop.strategies["stock"] = before
    await assert_accessible(scripted, ("light",))
    await scripted.click(BUY)
    await scripted.wait_for_url("**/orders/**")
    assert await served.orders("user-10") == 2


async def test_the_administrators_view(served, page, assert_accessible, look):
    """Stock, audit and events can be read and used by everybody, at both widths."""
    await page.goto(f"{served.url}/sign-in")
    await page.click("button[value=admin]")
    for name, path in (("stock", ""), ("audit", "/audit"), ("events", "/events")):
        await page.goto(f"{served.url}/admin{path}")
        if name == "audit":
            await page.click("main button.main")
            await page.wait_for_selector(".notice.good")
        await assert_accessible(page)
        await look(page, f"shop-admin-{name}")


HOSTILE = """() => {
  const hostile = "<p id=p style='color: rgb(1, 2, 3)'><img src='/shop/assets/icon.svg' onload='hacked = 1'>";
  document.body.insertAdjacentHTML("beforeend", hostile);
  const script = document.createElement("script");
  script.textContent = "window.inline = 2";
  document.body.append(script);
}"""
RAN = """() => [getComputedStyle(document.getElementById('p')).color === "rgb(1, 2, 3)",
  window.hacked === 1, window.inline === 2]"""


@pytest.mark.parametrize("policy", [True, False])
async def test_nothing_foreign_runs(served, open_page, policy):
    """A script or a style that gets into a page is not run: the policy of the page blocks both. The control: without
    the header all of it runs."""
    page = await open_page(allow=("Content Security Policy",) if policy else ())

    async def without_policy(route):
        answer = await route.fetch()
        kept = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
        await route.fulfill(response=answer, headers=kept)

    if not policy:
        await page.route(served.url, without_policy)
    await page.goto(served.url)
    await page.evaluate(HOSTILE)
    await eventually_async(lambda: page.evaluate("document.querySelector('#p img').complete"))
    assert await page.evaluate(RAN) == [not policy] * 3
