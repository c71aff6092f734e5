"""A real Chromium for tests of pages, one for each worker, started by the first test that needs it.

Fixtures: `open_page` makes pages, each in a context of its own (`await open_page("phone", language="ko", dark=True)`);
`page` is one at desktop width; `device` runs a test at phone and at desktop width. A test fails when its pages wrote an
error to the console. `assert_accessible(page)` asks axe-core, in light and in dark. `look(page, name)` says that a page
fits both widths. With STOCKADE_SCREENSHOTS=1 it and `shot(page, name)` write pictures into build/screenshots, to be
looked at; no test reads them.

Tests here and their Chromium share one event loop for the session, so a server can run in the loop of its test.
Neighbour: `chromium.py`.
"""

import os
from pathlib import Path

import pytest
import pytest_asyncio

from tests.browser import chromium as chromium_program

HERE = Path(__file__).parent
SCREENSHOTS = os.environ.get("STOCKADE_SCREENSHOTS") == "1"


def pytest_collection_modifyitems(items):
    """Playwright's objects belong to the loop that made them, which is the session's."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    """The worker's Chromium."""
    async with chromium_program.running() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(chromium):
    """Function that opens a page, see `Windows.open`; at the end no page may have written an error to the console."""
    windows = chromium_program.Windows(chromium)
    try:
        yield windows.open
    finally:
        await windows.close()
    assert not windows.errors, "\n".join(windows.errors)


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page):
    """A page at desktop width."""
    return await open_page()


@pytest.fixture(params=list(chromium_program.DEVICES))
def device(request):
    """`phone` (390 pixels wide) and `desktop` (1280)."""
    return request.param


@pytest.fixture
def assert_accessible():
    """Function that fails with what axe-core finds serious or critical on a page, in light and in dark.

    Of the second colours only the contrast is examined: the other rules do not see colours.
    """

    async def check(page, schemes=("light", "dark")):
        for number, scheme in enumerate(schemes):
            await page.emulate_media(color_scheme=scheme)
            found = await chromium_program.violations(page, only=("color-contrast",) if number else ())
            assert not found, f"{page.url} in {scheme}:\n" + "\n".join(found)

    return check


@pytest.fixture
def shot():
    """Function that writes a picture of the whole page into build/screenshots, where pictures are asked for."""

    async def write(page, name, schemes=("light",)):
        if not SCREENSHOTS:
            return
        chromium_program.SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        for scheme in schemes:
            await page.emulate_media(color_scheme=scheme)
            suffix = "-dark" if scheme == "dark" else ""
            await page.screenshot(path=chromium_program.SCREENSHOTS / f"{name}{suffix}.png", full_page=True)

    return write


@pytest.fixture
def look(shot):
    """Function that fails where a page is wider than a phone or a desktop; each has its picture."""

    async def fits(page, name, schemes=("light",)):
        async for device in chromium_program.at_each_width(page):
            await shot(page, f"{name}-{device}", schemes)

    return fits
