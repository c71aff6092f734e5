"""The race in slow motion: the control oversells in the worst order, the others hold, and each says how."""

import pytest

from stockade.lab.errors import LabError
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
    """What happened, step by step: `A read`, `B waits`."""
    return [f"{each['who']} {each['did']}" for step in state["steps"] for each in step["happened"]]


async def test_unprotected_sells_the_unit_twice():
    """The negative control: both decide on what both have read, and one version is written twice."""
    state = await play("unprotected", "sqlite")
    assert did(state) == ["A read", "B read", "A wrote", "A accepted", "B wrote", "B accepted"]
    assert [each["rule"] for each in state["violations"]][:2] == ["oversell", "conservation"]
    assert [each["version"] for each in state["ledger"]] == [1, 2, 2]
    assert state["buyers"]["B"]["decided_on"] == {"free": 1, "on_hand": 1, "reserved": 0, "version": 1}


async def test_in_turn_even_unprotected_is_right():
    """It is the order that does it: one after the other sells one."""
    state = await play("unprotected", "sqlite", order="AAABBB")
    assert [each["answer"] for each in state["buyers"].values()] == ["ACCEPTED", "OUT_OF_STOCK"]
    assert state["violations"] == []


STORIES = {
    "pessimistic": [
        *("A read", "B waits", "A wrote", "A accepted", "B got_lock", "B wrote_refusal", "B refused"),
    ],
    "optimistic": [
        *("A read", "B read", "A wrote", "A accepted", "B conflict", "B wrote_refusal", "B refused"),
    ],
    "sequencer": [
        *("sequencer batch_read", "A queued", "B queued", "sequencer batch_wrote", "sequencer batch_committed"),
        *("A accepted", "B refused"),
    ],
}


@pytest.mark.parametrize("control", STORIES)
async def test_the_others_hold(control):
    """The same worst order sells one unit once, and the steps show why."""
    state = await play(control, "sqlite")
    assert did(state) == STORIES[control]
    assert [each["answer"] for each in state["buyers"].values()] == ["ACCEPTED", "OUT_OF_STOCK"]
    assert (state["violations"], state["row"]["free"]) == ([], 0)


async def test_a_row_lock_is_one_of_the_row(postgres_database):
    """On PostgreSQL the second buyer waits at the row, with the statement that asks for it."""
    state = await play("pessimistic", postgres_database)
    assert did(state) == STORIES["pessimistic"]
    assert state["steps"][1]["happened"][0]["sql"].endswith("FOR NO KEY UPDATE")
    assert state["steps"][2]["happened"][0]["sql"].startswith("UPDATE skus AS stored SET … WHERE stored.id =")
    assert ")" not in state["steps"][2]["happened"][0]["sql"]


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
