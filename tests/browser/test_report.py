"""A report in a real browser: it fits a phone and a screen, everybody can read it, and nothing in it needs a script."""

import pytest_asyncio

from tests.browser.chromium import at_each_width
from tests.lab.report.whole import whole


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(tmp_path_factory):
    """The address of a report of one document of each kind and a history; one name in it is hostile and long."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(whole()[1])
    return (folder / "report.html").as_uri()


async def test_a_report_can_be_read_by_everybody(address, open_page, assert_accessible, shot):
    """No wider than the device, with all its tables open, in light and in dark; one drawing of each chart."""
    page = await open_page("phone")
    await page.goto(address)
    await assert_accessible(page)
    await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    count = "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg, div.narrow')]"
    async for device in at_each_width(page):
        await shot(page, f"report-{device}", ("dark" if device == "phone" else "light",))
        shown = await page.evaluate(f"{count}.filter(each => each.checkVisibility()).length)")
        assert shown
        assert set(shown) <= {1, 2}  # a drawing for a phone stands in a block of its own


async def test_a_report_needs_no_script_and_runs_none(address, open_page):
    """It shows the same without scripts, and its policy refuses one that got in."""
    page = await open_page(script=False)
    await page.goto(address)
    assert await page.locator("svg:visible").count() > 5
    page = await open_page(allow=("Content Security Policy",))
    await page.goto(address)
    await page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert await page.evaluate("window.ran") is None


async def test_a_printed_report_is_light_and_open(address, open_page):
    """Dark colours are for screens; the data of a chart is printed too."""
    page = await open_page(dark=True)
    await page.goto(address)
    await page.emulate_media(media="print", color_scheme="dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert await page.locator("nav").is_hidden()


CUT_WORDS = """[...document.querySelectorAll('thead th.number')].flatMap(head => {
    const text = head.firstChild, range = document.createRange();
    return [...text.data.matchAll(/[a-z]+/gi)].filter(word => {
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        return range.getClientRects().length > 1;
    }).map(word => word[0]);
})"""


async def test_printed_heads_keep_their_words(address, open_page):
    """On A4 no word of the head of a column of numbers is cut in two, and no table is wider than the page."""
    page = await open_page()
    await page.goto(address)
    await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    await page.emulate_media(media="print")
    await page.set_viewport_size({"width": 794, "height": 1123})
    assert await page.evaluate(CUT_WORDS) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
