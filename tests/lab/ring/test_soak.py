"""The soak without servers: what it draws, when it stops, and how a round is played again."""

from pathlib import Path

import pytest

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import fit_together
from stockade.lab.ring.expectation import AS_CLAIMED, HELD, NOT_EXPOSED, VIOLATED, expected, kept
from stockade.lab.ring.player import CellRunner
from stockade.lab.ring.report import round_lines
from stockade.lab.ring.soak import MAX_FAILED, Soak, draw_round, gave_up
from tests.lab.ring.parts import StandIn, parts


def test_rounds_differ_and_repeat():
    """A number and a seed give one round; over some, every database, contender that claims and fault is drawn."""
    rounds = [draw_round(parts(), 1, number) for number in range(1, 200)]
    assert rounds == [draw_round(parts(), 1, number) for number in range(1, 200)]
    assert rounds[0] != draw_round(parts(), 2, 1)
    assert {each.cell.database for each in rounds} == set(parts().databases)
    assert {fault for each in rounds for fault in each.cell.faults} == set(parts().fault_names)
    assert len({len(each.cell.faults) for each in rounds}) > 2
    assert len({each.seed for each in rounds}) == len(rounds)


def test_a_round_holds_a_claim_and_only_faults_that_fit():
    """Its contender claims to break no rule under all faults of the round, which fit together."""
    by_name = parts().fault_by_name
    for number in range(1, 100):
        cell = draw_round(parts(), 5, number).cell
        faults = [by_name[name] for name in cell.faults]
        assert expected(Contender.parse(cell.contender), faults, control=False) == HELD
        assert all(fit_together(one, other) for one in faults for other in faults if one is not other)


@pytest.fixture
def soaked(tmp_path):
    """Function: soak with a stand-in; the results and the numbers of the rounds."""

    async def run(player, minutes=0.0, **options):
        seen = []
        soak = Soak(parts(), CellRunner(player, 5.0, tmp_path), 1, minutes, **options)
        return await soak.run(lambda drawn, result: seen.append((drawn.number, drawn.cell, result.cell))), seen

    return run


async def test_it_stops_when_the_time_is_over_and_plays_one_round_at_least(soaked):
    """No round begins after the time."""
    results, seen = await soaked(StandIn())
    assert [each.verdict for each in results] == [AS_CLAIMED]
    assert [number for number, _, _ in seen] == [1]


async def test_it_stops_at_the_first_violation(soaked):
    """However much time is left."""
    player = StandIn(lambda cell: len(player.played) == 3)
    results, _ = await soaked(player, 1.0)
    assert [each.verdict for each in results] == [AS_CLAIMED, AS_CLAIMED, VIOLATED]
    assert results[-1].history


async def test_it_keeps_going_if_asked_and_ends_where_nothing_can_be_recorded(soaked):
    """A violation is no reason to stop then; several rounds without a recording are."""
    player = StandIn(lambda cell: True, lambda cell: LabError("no disk") if len(player.played) > 3 else None)
    results, _ = await soaked(player, 1.0, keep_going=True)
    assert "no disk" in gave_up(results)
    assert not gave_up(results[:-1])
    assert len(player.played) == 3 + 2 * MAX_FAILED


async def test_a_round_in_which_a_fault_did_not_act_is_played_once_more(soaked):
    """With the next seed; if it acts then, the round counts, and the line says what the first try found."""
    drawn = draw_round(parts(), 1, 1)
    assert drawn.cell.faults
    player = StandIn(hit=lambda cell: ("service 1",) if len(player.played) == 2 else ())
    (result,), _ = await soaked(player)
    assert player.played == [drawn.cell.id] * 2
    assert (result.verdict, result.seed, kept([result])) == (AS_CLAIMED, drawn.seed + 1, True)
    soak = Soak(parts(), CellRunner(player, 5.0, Path()), 1, 1.0)
    lines = round_lines(drawn, result, soak, "")
    assert lines[1].startswith(f"  before: seed {drawn.seed}: not exposed: {drawn.cell.faults[0]} hit nothing")


async def test_a_soak_in_which_no_fault_acted_is_no_success(soaked):
    """A round that stays so after its second try has shown nothing, whatever `--complete` says; beside others it is
    named."""
    player = StandIn(hit=lambda cell: ())
    (result,), _ = await soaked(player)
    assert (result.verdict, len(player.played), kept([result])) == (NOT_EXPOSED, 2, False)
    (other,), _ = await soaked(StandIn())
    assert (kept([other, result]), kept([other, result], complete=True)) == (True, False)


async def test_one_round_is_played_again(soaked):
    """By its number alone: the same cell."""
    _, seen = await soaked(StandIn(), 1.0, only=7)
    assert seen == [(7, draw_round(parts(), 1, 7).cell, draw_round(parts(), 1, 7).cell)]


async def test_controls_alone_are_nothing_to_soak():
    """A soak of what claims nothing says so."""
    with pytest.raises(LabError, match="nothing to soak"):
        draw_round(parts(contenders=["unprotected", "redis-spin:bare"]), 1, 1)
