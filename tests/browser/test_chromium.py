"""The Chromium of the tests itself: it notices what a page does wrong, or tests of pages prove nothing."""

import pytest

from tests.browser.chromium import Windows, violations

PAGE = """<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>A</title>
<style>body {{ color: {ink}; background: white }}</style></head><body><main><h1>Shirts</h1>{more}</main>
</body></html>"""


async def test_a_page_of_the_width_of_the_device(open_page, device, shot):
    """A page has the width that the test asked for, and a picture can be taken of it."""
    page = await open_page(device)
    await page.set_content(PAGE.format(ink="black", more=""))
    assert await page.evaluate("innerWidth") == {"phone": 390, "desktop": 1280}[device]
    await shot(page, f"chromium-{device}")


async def test_an_error_of_a_script_is_noticed(chromium):
    """A page that writes an error to the console, or whose script fails, is found out; an expected one is not."""
    windows = Windows(chromium)
    page = await windows.open(allow=("meant",))
    await page.set_content(PAGE.format(ink="black", more="<script>console.error('meant')</script>"))
    assert windows.errors == []
    await page.set_content(PAGE.format(ink="black", more="<script>console.error('one'); nothing.there()</script>"))
    await windows.close()
    assert len(windows.errors) == 2


async def test_what_nobody_can_read_is_noticed(page, assert_accessible):
    """Pale text, or a field without a label, is a violation; the same page without them is none."""
    await page.set_content(PAGE.format(ink="black", more="<p>text</p>"))
    await assert_accessible(page)
    await page.set_content(PAGE.format(ink="#ddd", more="<p>text</p><input>"))
    found = "\n".join(await violations(page))
    assert "color-contrast" in found
    assert "label" in found
    with pytest.raises(AssertionError, match="color-contrast"):
        await assert_accessible(page, schemes=("light",))
