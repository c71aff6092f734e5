"""Debian's Chromium for the tests of pages: where its program is, and windows of it that notice a page's errors.

Playwright drives it through the asynchronous interface: the synchronous one keeps an event loop running in the thread
of all tests, and pytest-asyncio then cannot run its own. Neighbour: `conftest.py`, which makes fixtures of this.
"""

import asyncio
import importlib.util
import os
import re
from contextlib import asynccontextmanager
from pathlib import Path

from stockade.devservers import ServerUnavailable
from stockade.devservers.programs import find_program

DEVICES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
LANGUAGES = {"en": "en-US", "ko": "ko-KR"}
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
SERIOUS = ("serious", "critical")
ANSWER_LIMIT_MS = 30_000
CLOSE_LIMIT_S = 20.0


def find():
    """The program of Chromium.

    Raises:
        ServerUnavailable: it is not there, or Playwright is not; the message says what to install.
    """
    program = find_program("STOCKADE_CHROMIUM", ["chromium", "chromium-browser", "google-chrome"], [])
    if not program:
        raise ServerUnavailable("no chromium: apt-get install chromium, or name the program in STOCKADE_CHROMIUM")
    if not importlib.util.find_spec("playwright"):
        raise ServerUnavailable("no playwright: install the dependency group `browser`")
    return program.path


def why_not():
    """None if Chromium can be started, otherwise the reason."""
    try:
        find()
    except ServerUnavailable as error:
        return str(error)
    return None


@asynccontextmanager
async def running():
    """One Chromium; it ends with the context, and with this process if that is killed."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find(),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],  # its sandbox refuses root
        )
        try:
            yield browser
        finally:
            await asyncio.wait_for(browser.close(), CLOSE_LIMIT_S)


class Windows:
    """Pages of one test, each in a context of its own: no cookie, no cache of another."""

    def __init__(self, browser):
        self._browser, self._contexts, self.errors = browser, [], []

    async def open(self, device="desktop", *, language="en", dark=False, script=True, allow=(), **options):
        """A new page.

        Args:
            device: `phone` or `desktop`.
            language: `en` or `ko`: what the browser asks for.
            dark: prefer dark colours.
            script: whether the browser runs scripts.
            allow: regular expressions of console errors that this test causes on purpose.
            options: further options of Playwright's `new_context`.
        """
        context = await self._browser.new_context(
            viewport=DEVICES[device],
            locale=LANGUAGES[language],
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=script,
            **options,
        )
        context.set_default_timeout(ANSWER_LIMIT_MS)
        self._contexts.append(context)
        page = await context.new_page()
        context.on("console", lambda message: self._note(message.type, message.text, allow))
        context.on("weberror", lambda error: self._note("error", str(error.error), allow))
        return page

    async def close(self):
        """Close all of them."""
        for context in self._contexts:
            await asyncio.wait_for(context.close(), CLOSE_LIMIT_S)
        self._contexts.clear()

    def _note(self, kind, text, allow):
        if kind in ("error", "warning") and not any(re.search(pattern, text) for pattern in allow):
            self.errors.append(f"{kind}: {text}")


async def at_each_width(page):
    """The name of each device, with the page at its width, which it must fit; then the page is as wide as before."""
    before = page.viewport_size
    for device, size in DEVICES.items():
        await page.set_viewport_size(size)
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], (page.url, device)
        yield device
    await page.set_viewport_size(before)


async def violations(page, only=()):
    """What axe-core finds serious or critical on the page as it stands; a line for each rule.

    Args:
        page: to be examined.
        only: ids of rules; empty: all.
    """
    from axe_playwright_python.base import AXE_SCRIPT

    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE_SCRIPT)
    options = {"resultTypes": ["violations"], **({"runOnly": list(only)} if only else {})}
    found = await page.evaluate("async (options) => (await axe.run(options)).violations", options)
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {'; '.join(node['html'][:160] for node in rule['nodes'])}"
        for rule in found
        if rule["impact"] in SERIOUS
    ]
