"""The race in slow motion: the control oversells in the worst order, the others hold, and each says how."""

import asyncio

import pytest

from stockade.core import Accepted, Busy, Rejected
from stockade.lab.errors import LabError
from stockade.lab.slow_motion import two_buyers
from stockade.lab.slow_motion.story import Story
from stockade.lab.slow_motion.two_buyers import open_race


async def play(control, database, order=()):
    """Play a race in the given order, then in the worst one; its last state."""
    async with open_race(control, database) as race:
        story = Story(race)
        for who in order:
            await story.step(who)
        while race.next:
            await story.step(race.next)
        return await story.state()


def did(state):
    """What happened, step by step: `A read`, `B wrote`."""
    return [f"{each['who']} {each['did']}" for step in state["steps"] for each in step["happened"]]


async def test_unprotected_sells_the_unit_twice():
    """The negative control: both decide on what both have read, and one version is written twice."""
    state = await play("unprotected", "sqlite")
    assert did(state) == ["A read", "B read", "A wrote", "A accepted", "B wrote", "B accepted"]
    assert [each["rule"] for each in state["violations"]][:2] == ["oversell", "conservation"]
    assert [each["version"] for each in state["ledger"]] == [1, 2, 2]
    assert state["end"] == {"kind": "twice", "version": 2}
    assert state["buyers"]["B"]["decided_on"] == {"free": 1, "on_hand": 1, "reserved": 0, "version": 1}


@pytest.mark.parametrize(("order", "writers"), [("ABAABB", "AB"), ("ABBBAA", "BA")])
async def test_the_ledger_is_in_the_order_of_the_answers(order, writers):
    """Of two entries of one version the first is that of the buyer who wrote first."""
    state = await play("unprotected", "sqlite", order=order)
    assert [each["who"] for each in state["ledger"]] == ["", *writers]


async def test_in_turn_even_unprotected_is_right():
    """It is the order that does it: one after the other sells one."""
    state = await play("unprotected", "sqlite", order="AAABBB")
    assert [each["answer"] for each in state["buyers"].values()] == ["ACCEPTED", "OUT_OF_STOCK"]
    assert state["violations"] == []


STORIES = {
    "pessimistic": [
        *("A read", "B unanswered", "A wrote", "A accepted", "B read_later", "B wrote_refusal", "B rejected"),
    ],
    "optimistic": [
        *("A read", "B read", "A wrote", "A accepted", "B conflict", "B wrote_refusal", "B rejected"),
    ],
    "sequencer": [
        *("sequencer batch_read", "A queued", "B queued", "sequencer batch_wrote", "sequencer batch_committed"),
        *("A answered", "B rejected"),
    ],
}


@pytest.mark.parametrize("control", STORIES)
async def test_the_others_hold(control):
    """The same worst order sells one unit once, and the steps show why."""
    state = await play(control, "sqlite")
    assert did(state) == STORIES[control]
    assert [each["answer"] for each in state["buyers"].values()] == ["ACCEPTED", "OUT_OF_STOCK"]
    assert (state["violations"], state["row"]["free"], state["end"]["kind"]) == ([], 0, "held")


async def test_the_statement_that_lost_is_shown():
    """The UPDATE that names the version it has read, and then the read of the row that is there."""
    state = await play("optimistic", "sqlite")
    (conflict,) = state["steps"][4]["happened"]
    update, read = conflict["sql"].removeprefix("BEGIN IMMEDIATE; ").split("; ")
    assert update == "UPDATE skus SET … WHERE skus.id = ? AND skus.version = ?"
    assert read.startswith("SELECT … FROM skus")


async def test_a_row_lock_is_one_of_the_row(postgres_database):
    """On PostgreSQL the second buyer waits at the row, with the statement that asks for it."""
    state = await play("pessimistic", postgres_database)
    assert did(state) == STORIES["pessimistic"]
    assert state["steps"][1]["happened"][0]["sql"].endswith("FOR NO KEY UPDATE")
    assert state["steps"][2]["happened"][0]["sql"].startswith("UPDATE skus AS stored SET … WHERE stored.id =")
    assert ")" not in state["steps"][2]["happened"][0]["sql"]


class Answers:
    """A service that answers without a database."""

    def __init__(self, answer):
        self.answer = answer

    async def execute(self, _order):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


NO_STOCK = Rejected("OUT_OF_STOCK")


@pytest.mark.parametrize(
    ("control", "answers", "told", "end"),
    [
        ("unprotected", (NO_STOCK, NO_STOCK), ["A rejected", "B rejected"], "broken"),
        ("unprotected", (Busy("no turn"), Busy("no turn")), ["A failed", "B failed"], "undecided"),
        (
            "sequencer",
            (Busy("no turn"), Busy("no turn")),
            ["sequencer batch_failed", "A failed", "B failed"],
            "undecided",
        ),
        ("unprotected", (Accepted({}), NO_STOCK), ["A accepted", "B rejected"], "broken"),
    ],
)
async def test_the_end_is_that_of_the_answers(control, answers, told, end):
    """Not everybody who waits is told no, and an error is no decision: the page gets what was really answered."""
    async with open_race(control, "sqlite") as race:
        for buyer, answer in zip(race.buyers.values(), answers, strict=True):
            buyer.service = Answers(answer)
        story = Story(race)
        while race.next:
            await story.step(race.next)
        state = await story.state()
    assert did(state) == told
    assert (state["ended"], state["end"]["kind"]) == (True, end)


async def test_a_slow_answer_is_no_end(monkeypatch):
    """Where nobody else can go on, a step waits for the database, however silent it is meanwhile."""
    monkeypatch.setattr(two_buyers, "SILENT_S", 0.0)
    async with open_race("unprotected", "sqlite") as race:
        buyer, may_answer = race.buyers["A"], asyncio.Event()
        race.buyers["B"].service = Answers(NO_STOCK)

        class Slow:
            async def execute(self, _order):
                race.actor("A").unanswered = "SELECT 1"
                await may_answer.wait()
                return NO_STOCK

        buyer.service = Slow()
        story = Story(race)
        await story.step("A")
        state = await story.state()
        assert (state["buyers"]["A"]["state"], state["ended"]) == ("unanswered", False)
        last = asyncio.create_task(story.step("B"))
        await asyncio.wait([last], timeout=0.1)
        assert not last.done()
        may_answer.set()
        await last
        assert (await story.state())["ended"]


async def test_who_waits_cannot_go_on():
    """A step of somebody who waits for a lock is refused; giving up rolls back and ends at once."""
    async with open_race("pessimistic", "sqlite") as race:
        await race.step("A")
        await race.step("B")
        with pytest.raises(LabError, match="B cannot go on now; these can: A"):
            await race.step("B")
    with pytest.raises(LabError, match="slow motion has"):
        async with open_race("redlock", "sqlite"):
            pass
