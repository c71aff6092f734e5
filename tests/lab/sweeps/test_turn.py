"""What a turn keeps of the orders that are not timed: their rules, and a time only of orders that were accepted."""

from types import SimpleNamespace

import pytest

from stockade.core import Stats
from stockade.lab.execution.order_senders import SendResult
from stockade.lab.model.contender import Contender
from stockade.lab.model.repeat_result import Response, Violation
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.plan import BURSTS, SweepPlan
from stockade.lab.sweeps.playing import turn
from stockade.lab.sweeps.playing.turn import Opened, TurnPlayer, baseline_ms

POINT = Point("buyers", 3, Setting(buyers=3))
ANSWER = Response("made-up", "accepted", "", "", "", 0, 1)


def checked(accepted=1, wall_ms=2.0, rules=(), buyers=1):
    """A repeat of so many buyers, of whom all that can be accepted."""
    violations = tuple(Violation(rule, "made up") for rule in rules)
    return CheckedRepeat(accepted, 0, buyers - accepted, 0, buyers, violations, wall_ms, (wall_ms,) * buyers, True)


@pytest.mark.parametrize(
    ("lone", "found"),
    [
        ([checked(wall_ms=3.0), checked(wall_ms=1.0), checked(wall_ms=2.0)], 2.0),
        ([checked(), checked(accepted=0, wall_ms=20_000.0), checked()], None),
        ([checked(accepted=0, wall_ms=20_000.0)] * 3, None),
    ],
)
def test_an_order_that_was_not_accepted_is_no_baseline(lone, found):
    """One that timed out would make every wait look short."""
    assert baseline_ms(lone) == found


class Sender:
    """Answers each command."""

    pids = ()

    async def send(self, commands):
        return SendResult([ANSWER for _ in commands], Stats())


@pytest.fixture
def play(monkeypatch):
    """Function: what each check finds, by the number of buyers, or of the warm-up -> the samples of a turn."""

    async def none(*_):
        return None

    async def run(*, warm=None, lone=None, turn_s=60.0):
        async def check(_target, _variant, workload, _responses, *, timed):
            if timed:
                return checked(3, buyers=3)
            return (lone or checked()) if len(workload.orders) == 1 else (warm or checked(3, buyers=3))

        monkeypatch.setattr(turn, "create_rows", none)
        monkeypatch.setattr(turn, "check_repeat", check)
        servers = SimpleNamespace(target=None, link=None, pids=lambda _: [])
        opened = Opened(Contender("optimistic"), Sender(), None)
        return await TurnPlayer(SweepPlan([POINT], [], turn_s=turn_s), servers).play(opened, POINT, 4)

    return run


async def test_rules_that_lone_orders_and_the_warm_up_broke_are_kept(play):
    """They count against the strategy, and not for the control; those of the timed bursts stand apart."""
    for found in (
        await play(lone=checked(rules=["exactly-once"])),
        await play(warm=checked(3, rules=["exactly-once"], buyers=3)),
    ):
        assert [each.untimed_violations for each in found] == [("exactly-once",)] + [()] * (BURSTS - 1)
        assert not any(each.violations for each in found)
        assert {each.round for each in found} == {4}


async def test_without_a_baseline_nothing_is_blocked_by_any_time(play):
    """The burst took 2 ms and a lone order waited for 20 s: none of it is a comparison."""
    found = await play(lone=checked(accepted=0, wall_ms=20_000.0))
    assert {(each.alone_ms, each.resources.blocked_ms) for each in found} == {(None, None)}
    found = await play(lone=checked(wall_ms=0.5))
    assert {(each.alone_ms, each.resources.blocked_ms) for each in found} == {(0.5, 4.5)}


async def test_a_turn_whose_time_is_over_has_one_burst(play):
    """One is enough for a value of the round; with time left there are all of them (control)."""
    assert len(await play(turn_s=0.0)) == 1
    assert len(await play()) == BURSTS
