"""The live page of the lab in a real Chromium: a newcomer's story at both widths, and all of it by keyboard."""

import re

from stockade.lab.live import app as live_app
from stockade.lab.live.choices import burst_variants
from stockade.lab.live.plan import BOUNDS, LivePlan
from stockade.lab.live.running.burst_leg import WARM_UPS
from stockade.lab.live.running.figures import Sums
from stockade.lab.live.runs import ENDED, Run
from stockade.lab.live.words import words
from stockade.lab.presets import find
from stockade.lab.slow_motion.story import Story
from stockade.lab.slow_motion.two_buyers import open_race
from tests.lab.live.serving import live_page

LANGUAGE = {"phone": "ko", "desktop": "en"}
OVERSOLD = {
    "en": "30 buyers were told yes, and only 20 units were there: 10 units were sold that do not exist.",
    "ko": "재고는 20개뿐인데 30명이 승인을 받았습니다.",
}
TWICE = {
    "en": "Buyer A was told: yes. Buyer B was told: yes. One unit was there.",
    "ko": "구매자 A: 승인을 받음. 구매자 B: 승인을 받음. 재고는 한 개였습니다.",
}
REPEATS = find("reference")[0][1].repeats
ROUNDS = REPEATS + WARM_UPS
IN_ROUNDS = {"en": rf"\d+ in {ROUNDS} rounds", "ko": rf"반복 {ROUNDS}회에 \d+건"}
RUN_LIMIT_MS = 60_000


async def test_a_newcomer_sees_why(open_page, shot, assert_accessible):
    """One click: unprotected oversells, the sequencer holds; one more: why, step by step. Nothing is too wide."""
    # The page at the other width, in the other language, shows the same run, which it has not begun.
    async with live_page(warm=True) as client:
        pages = {device: await open_page(device, language=language) for device, language in LANGUAGE.items()}
        for device, page in pages.items():
            await page.goto(client.url)
            assert not await page.is_visible("#runs"), "a table of nothing"
            await shot(page, f"live-{device}-first")
        await pages["phone"].click("#first-go")
        for device, page in pages.items():
            await sees_the_run(page, LANGUAGE[device])
            await shot(page, f"live-{device}-story", schemes=("light", "dark"))
        for device, page in pages.items():
            await steps_the_race(page, LANGUAGE[device])
            await shot(page, f"live-{device}-slow")
            box = "document.querySelector('#slow-steps').closest('.scroll')"
            assert await page.evaluate(f"{box}.scrollWidth <= {box}.clientWidth"), "the row is the point of the table"
            if device == "phone":  # the other differs in width and language only
                await assert_accessible(page)
            for width in (320, 360, (await page.evaluate("innerWidth"))):
                await page.set_viewport_size({"width": width, "height": 800})
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
                await shot(page, f"live-{device}-{width}")


async def sees_the_run(page, language):
    """The cards, the chart, the table of points and that of runs."""
    await page.wait_for_selector("[data-control=sequencer].held", timeout=RUN_LIMIT_MS)
    await page.wait_for_selector("#stop", state="hidden")
    unprotected = page.locator("[data-control=unprotected]")
    assert "oversold" in await unprotected.get_attribute("class")
    assert OVERSOLD[language] in await unprotected.inner_text()
    assert re.fullmatch(IN_ROUNDS[language], await unprotected.locator("[data-figure=violations] dd").inner_text())
    said = await unprotected.inner_text()
    assert words(language)["worst"].format(rounds=REPEATS, warm=WARM_UPS) in said
    assert re.search(r"oversell, \D*\d+", said), "which rules, and how often each"
    counted = await unprotected.locator("[data-figure=violations] dd").inner_text()
    assert await page.inner_text("#earlier tr:nth-child(1) td:nth-child(5)") in re.findall(r"\d+", counted)
    above, below = (f"c.querySelector('.figures{each}').getBoundingClientRect()" for each in ("", " + .small"))
    assert await unprotected.evaluate(f"c => {below}.top - {above}.bottom") >= 8
    assert words(language)["why.sequencer.sqlite"] in await page.inner_text("[data-control=sequencer]")
    assert "sequencer: " in await page.inner_text("#spoken")
    await page.bring_to_front()  # a page behind another draws nothing
    await page.wait_for_selector("#chart svg")
    await page.click("#points summary")
    await page.wait_for_selector(f"#point-table tbody tr:nth-child({2 * ROUNDS})")
    await page.click("#points summary")
    assert await page.locator("#earlier tr").count() == 2


async def steps_the_race(page, language):
    """Six steps in the worst order, and the end."""
    await page.click("[data-control=unprotected] .see")
    await page.wait_for_selector("#slow-next:focus")
    for number in range(1, 7):
        await page.wait_for_selector("#slow-next:enabled")
        await page.click("#slow-next")
        await page.wait_for_selector(f"#slow-steps tr:nth-child({number})")
    assert TWICE[language] in await page.inner_text("#slow-end")
    said = words(language)
    last = said["story.accepted"].format(who=said["slow.buyer"].format(who="B"))
    assert await page.inner_text("#slow-say") == last, "the answers are said once"
    assert await page.is_disabled("#slow-next")


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
        moving = "[data-control=unprotected] [data-figure=twice].wrong"
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
        stopped = page.locator("[data-control=unprotected]")
        said = await stopped.locator(".sentence").inner_text()
        assert re.fullmatch(r"Stopped after [\d.]+ s; by then it had broken a rule, [\d,]+ times in all\.", said)
        assert not await stopped.locator("[data-figure=left]").is_visible()
        assert await stopped.locator(".figures + .small").inner_text() == words("en")["cut.figures"]
        assert await page.inner_text("#earlier td:nth-child(10)") != "–"


async def test_what_cannot_be_begun_and_what_ends_with_the_lab(page):
    """No control is asked for before anything is sent; the end of the lab is said, and nothing goes on after it."""
    async with live_page() as client:
        await page.goto(client.url)
        option = await page.inner_text("option[value='burst:reference']")
        assert option == "reference – 20 in stock, 30 orders of one unit at once"
        await fills_in_the_figures(page)
        for control in ("unprotected", "sequencer"):
            await page.uncheck(f"#own input[value={control}]")
        await page.click("#own-go")
        assert await page.inner_text("#own-error") == "Choose at least one control."
        assert not client.serving.session.runs
        run = Run(1, LONGEST)  # `tests/lab/live/test_command.py` ends one that has processes
        client.serving.session.runs.append(run)
        client.serving.session.feed.publish("run", run.as_json(points=False))
        await page.wait_for_selector("#stop")
        client.serving.stop()
        await page.wait_for_selector("#connection:not([hidden])")
        assert "The lab has ended" in await page.inner_text("#connection")
        assert await page.inner_text("#say") == "Run 1 ended with the lab."
        assert not await page.is_visible("#stop")
        assert await page.is_disabled("#first-go")


async def fills_in_the_figures(page):
    """Each preset has its own figures in the fields, within their bounds; the form says where others stand there."""
    for name, variant in burst_variants().items():
        await page.select_option("#own select[name=workload]", f"burst:{name}")
        own = {"buyers": variant.buyers, "stock": variant.stock, "rounds": variant.repeats}
        shown = {each: int(await page.input_value(f"#own input[name={each}]")) for each in own}
        assert shown == own, name
        assert all(BOUNDS[each][0] <= value <= BOUNDS[each][1] for each, value in own.items())
        assert await page.inner_text("#workload-changed") == ""
    await page.fill("#own input[name=rounds]", str(variant.repeats + 1))  # the same outcome, once more
    assert await page.inner_text("#workload-changed") == ""
    await page.fill("#own input[name=buyers]", "8")
    assert "not the preset's own numbers" in await page.inner_text("#workload-changed")
    await page.select_option("#own select[name=workload]", "burst:peak")
    assert await page.inner_text("#workload-changed") == ""


LONGEST = LivePlan("recording", "order-stream", ("sequencer", "serializable"), "mariadb", fault="process-pause")
SUMS = {**Sums(accepted=123_456, refused=123_456, left=1_234, twice=30, rate=12_345.6).as_json(), "p50_ms": 1234.5}
SUMS = {**SUMS, "p95_ms": 1234.5, "batch": 123.4}
BROKEN = {"version-chain": 20}
DETAIL = "version-chain: stock:lab-1: version 7 twice"


def ended(number, plan, *, must_fail, violations):
    """A run as the session keeps it; the last control's violations and whether it must have them are given."""
    run = Run(number, plan)
    for leg, control in enumerate(plan.controls):
        last = leg == len(plan.controls) - 1
        sums = {**SUMS, "violations": violations if last else {}, "twice": SUMS["twice"] if last else None}
        sums["detail"] = DETAIL if sums["violations"] else ""
        said = {"verdict": "as claimed", "kept": True, "reason": "", "must_fail": must_fail and last}
        run.take({"event": "leg", "control": control})
        run.take({"event": "points", "leg": leg, "points": [], "sums": sums})
        run.take({"event": "verdict", "leg": leg, **said})
    run.state = ENDED
    return run


async def test_a_strategy_has_held_only_where_something_else_failed(open_page, shot):
    """Without a control that was seen to fail no card is green; the card of one that failed says what the rule means,
    in the language of the page; the table of runs fits, or moves in its own box."""
    async with live_page() as client:
        for number, (must_fail, violations) in enumerate([(True, BROKEN), (True, {}), (False, {})], 1):
            client.serving.session.runs.append(ended(number, LONGEST, must_fail=must_fail, violations=violations))
        pages = {device: await open_page(device, language=language) for device, language in LANGUAGE.items()}
        for device, page in pages.items():
            await page.goto(client.url)
            await shows_the_runs(page, words(LANGUAGE[device]))
            await shot(page, f"live-{device}-runs")
            box = "document.querySelector('.runs').parentElement"
            wide, room = await page.evaluate(f"[{box}.scrollWidth, {box}.clientWidth]")
            assert wide <= room if device == "desktop" else wide > room
            await page.set_viewport_size({"width": min(360, page.viewport_size["width"]), "height": 800})
            accepted = "document.querySelector('#earlier td:nth-child(4)').getBoundingClientRect().right"
            assert await page.evaluate(f"{accepted} <= {box}.getBoundingClientRect().right"), "verdict and accepted"
            await shot(page, f"live-{device}-runs-360")
        broken = ended(4, LONGEST, must_fail=True, violations=BROKEN).as_json(points=False)
        client.serving.session.feed.publish("run", broken)
        for device, page in pages.items():
            card = page.locator("[data-control=serializable].broken")
            await card.wait_for()
            said = words(LANGUAGE[device])
            counted = {"rule": "version-chain", "count": "20", "meaning": said["rule.version-chain"]}
            assert said["violations.of"].format(**counted) in await card.inner_text()
            assert await card.locator("[lang=en]").inner_text() == DETAIL
            assert await page.evaluate("document.documentElement.scrollWidth") <= await page.evaluate("innerWidth")


async def shows_the_runs(page, said):
    """The cards of the newest run, none of them green, and the table of all runs."""
    last = page.locator("#legs .card").nth(1)
    await last.wait_for()
    assert await page.locator("#legs .unshown").count() == 2
    assert await page.locator("#earlier td:nth-child(3)").all_inner_texts() == [
        *[f"? {said['badge.unshown']}"] * 4,
        *(f"✓ {said['badge.held']}", f"✗ {said['badge.broken']}"),
    ]
    assert await last.locator("[data-figure=twice] dd").inner_text() == "30"
    assert await last.locator("[data-figure=violations] dd").inner_text() == "0"
    assert said["judged"].replace("{most}", "20") in await last.inner_text()


async def test_a_wrong_number_is_said_in_words(open_page):
    """Under the button, in the language of the page, with the bounds; nothing is sent, and the field has the focus."""
    async with live_page() as client:
        for language, said in (("en", "Buyers: a whole number from 1 to 1,000."), ("ko", "구매자 수: 1부터 1,000까지")):
            page = await open_page(language=language)
            await page.goto(client.url)
            for wrong in ("0", "", "1.5", "1001"):
                await page.fill("#own input[name=buyers]", wrong)
                await page.click("#own-go")
                assert said in await page.inner_text("#own-error")
                assert await page.evaluate("document.activeElement.name") == "buyers"
        assert await page.get_attribute("#own input[name=buyers]", "aria-invalid") == "true"
        assert not client.serving.session.runs


async def test_a_page_that_gets_no_answer_says_what_to_do(open_page, monkeypatch):
    """A page that the lab refuses does not say that it tries again; a run that cannot be asked for says it too, and
    so does one that is not answered in time, or of which no event comes."""
    page = await open_page(allow=("503", "ERR_FAILED"))
    monkeypatch.setattr(live_app, "MOST_PAGES", 0)
    monkeypatch.setattr(live_app, "ANSWER_S", 0.4)
    async with live_page() as client:
        await page.goto(client.url)
        await page.wait_for_selector("#connection:not([hidden])")
        assert "Close a page and load this one again" in await page.inner_text("#connection")
        await page.route("**/run", lambda route: route.abort())
        await page.click("#own-go")
        await page.wait_for_selector("#own-error:not(:empty)")
        assert "The lab did not answer. If it still runs, try again" in await page.inner_text("#own-error")
        await page.unroute("**/run")
        await page.route("**/run", lambda route: None)  # never answered
        await page.click("#own-go")
        await page.wait_for_selector("#own-error:has-text('has not answered within 0.4 s')")
        await page.unroute("**/run")
        await page.route("**/run", lambda route: route.fulfill(status=202, json={"number": 7}))
        await page.click("#own-go")
        await page.wait_for_selector("#say:has-text('The lab has begun run 7, but this page hears nothing of it')")


async def test_the_end_of_slow_motion_says_the_answers(page, monkeypatch):
    """Two buyers whom the database did not answer in time were not told yes, and not told no."""
    async with live_page() as client:
        async with open_race("unprotected", "sqlite") as race:
            state = await Story(race).state()
        failed = {**state["buyers"]["A"], "state": "answered", "status": "failed", "answer": "BUSY"}
        shown = {**state, "id": "1", "ended": True, "movable": [], "next": "", "end": {"kind": "undecided"}}
        shown |= {"buyers": {"A": failed, "B": failed}, "violations": [], "ledger": []}

        async def begin_race(_control, _database):
            return shown

        monkeypatch.setattr(client.serving.session, "begin_race", begin_race)
        await page.goto(client.url)
        await page.click("#slow-begin")
        await page.wait_for_selector("#slow-end .odd")
        said = await page.inner_text("#slow-end .sentence")
        assert said.startswith("Buyer A got no decision (BUSY). Buyer B got no decision (BUSY).")
