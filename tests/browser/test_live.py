"""The live page of the lab in a real Chromium: a newcomer's story at both widths, and all of it by keyboard."""

from tests.lab.live.serving import live_page

LANGUAGE = {"phone": "ko", "desktop": "en"}
OVERSOLD = {
    "en": "30 buyers were told yes, and only 20 units were there: 10 units were sold that do not exist.",
    "ko": "재고는 20개뿐인데 30명이 승인을 받았습니다.",
}
TWICE = {"en": "Two buyers were told yes, and one unit was there.", "ko": "재고는 한 개인데 두 명이 승인을 받았습니다."}
RUN_LIMIT_MS = 60_000


async def test_a_newcomer_sees_why(open_page, device, shot, assert_accessible):
    """One click: unprotected oversells, the sequencer holds; one more: why, step by step. Nothing is too wide."""
    language = LANGUAGE[device]
    async with live_page() as client:
        page = await open_page(device, language=language)
        await page.goto(client.url)
        await shot(page, f"live-{device}-first")
        await page.click("#first-go")
        await page.wait_for_selector("[data-control=sequencer].held", timeout=RUN_LIMIT_MS)
        await page.wait_for_selector("#stop", state="hidden")
        unprotected = page.locator("[data-control=unprotected]")
        assert "oversold" in await unprotected.get_attribute("class")
        assert OVERSOLD[language] in await unprotected.inner_text()
        assert "sequencer: " in await page.inner_text("#spoken")
        await page.wait_for_selector("#chart svg")
        await page.click("#points summary")
        await page.wait_for_selector("#point-table tbody tr:nth-child(64)")
        await page.click("#points summary")
        assert await page.locator("#earlier tr").count() == 2
        await shot(page, f"live-{device}-story", schemes=("light", "dark"))
        await page.click("[data-control=unprotected] .see")
        for number in range(1, 7):
            await page.wait_for_selector("#slow-next:enabled")
            await page.click("#slow-next")
            await page.wait_for_selector(f"#slow-steps tr:nth-child({number})")
        assert TWICE[language] in await page.inner_text("#slow-say")
        assert await page.is_disabled("#slow-next")
        await shot(page, f"live-{device}-slow")
        await assert_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth") <= await page.evaluate("innerWidth")


async def test_everything_is_reached_with_the_keyboard(page, shot):
    """A run under a fault is chosen, stopped and compared without a mouse, and a page that comes back shows it all."""
    async with live_page() as client:
        await page.goto(client.url)
        await page.focus("#own select[name=workload]")
        await page.keyboard.type("order-stream")
        assert await page.is_visible("#own select[name=fault]")
        assert not await page.is_visible("#own input[name=buyers]")
        await page.focus("#own select[name=fault]")
        await page.keyboard.type("process-pause")
        await page.focus("#own input[name=seconds]")
        await page.keyboard.press("Control+a")
        await page.keyboard.type("60")
        await page.keyboard.press("Enter")
        moving = "[data-control=unprotected] [data-figure=violations].wrong"
        await page.wait_for_selector(moving, timeout=RUN_LIMIT_MS)
        assert await page.evaluate("document.activeElement.id") == "results"
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "stop"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#stop", state="hidden", timeout=RUN_LIMIT_MS)
        assert await page.inner_text("#say") == "Run 1 was stopped."
        await shot(page, "live-desktop-stopped")
        await page.reload()
        await page.wait_for_selector("[data-control=unprotected]")
        assert await page.inner_text("#say") == "Run 1 was stopped."
        client.serving.stop()
        await page.wait_for_selector("#connection:not([hidden])")
        assert "The lab has ended" in await page.inner_text("#connection")
