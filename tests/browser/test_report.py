"""A report in a real browser: it fits a phone and a screen, everybody can read it, and nothing in it needs a script."""

import pytest_asyncio

from stockade.lab.history.history_file import write_history
from stockade.lab.report.build import build
from stockade.lab.report.documents import read_source
from stockade.lab.report.html import html
from tests.lab.checkers.small_histories import fault, small
from tests.lab.report.documents import claims_document, deadlock, lab_document, ring, run, source, sweep

EVIL = "<script>console.error('script ran')</script><img src=x>" * 3


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(tmp_path_factory):
    """The address of a report of one document of each kind and a history; one name in it is hostile and long."""
    folder = tmp_path_factory.mktemp("report")
    write_history(small(fault_log=(fault(1, "pause", "inject"), fault(3, "pause", "heal"))), folder / "h.jsonl")
    runs = [run("sequencer", 10.0), run("kafka", 20.0), run("unprotected", 15.0), run("pessimistic", preset=EVIL)]
    values = [lab_document(*runs), ring(), deadlock(), claims_document(), sweep()]
    sources = [source(folder, each, f"{n}.json") for n, each in enumerate(values)]
    (folder / "report.html").write_text(html(build([*sources, read_source(str(folder / "h.jsonl"))])))
    return (folder / "report.html").as_uri()


async def test_a_report_can_be_read_by_everybody(address, open_page, device, assert_accessible, shot):
    """No wider than the device, with all its tables open, in light and in dark; one drawing of each chart."""
    page = await open_page(device)
    await page.goto(address)
    if device == "phone":  # the other differs in width only, and a look takes seconds
        await assert_accessible(page)
    await shot(page, f"report-{device}", ("dark" if device == "phone" else "light",))
    await page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert await page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    count = "[...document.querySelectorAll('figure')].map(f => [...f.querySelectorAll('svg, div.narrow')]"
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
