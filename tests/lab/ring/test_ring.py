"""The ring without servers: its cells, its verdicts, what it keeps, and how it goes on after an interruption."""

import asyncio
from pathlib import Path

import pytest

from stockade.lab.errors import LabError
from stockade.lab.history.final_state import Leftovers
from stockade.lab.history.history_file import read_history
from stockade.lab.model.contender import Contender
from stockade.lab.recording.fault import protects_rows
from stockade.lab.ring.cell import Cell, CellResult
from stockade.lab.ring.design import FAULTS_OF_A_CELL, design
from stockade.lab.ring.expectation import (
    AS_CLAIMED,
    BROKEN_AS_CLAIMED,
    FAILED,
    HELD,
    LATE,
    MUST_BREAK,
    NOT_CAUGHT,
    NOT_EXPOSED,
    VIOLATED,
    kept,
    not_exposed,
)
from stockade.lab.ring.player import CellRunner
from stockade.lab.ring.report import repeat_command
from stockade.lab.ring.ring import Ring
from stockade.lab.ring.state_file import StateFile
from tests.lab.ring.parts import FAULTS, StandIn, parts

GUARDED = Cell("postgres", "pessimistic", ("crash", "latency"), "order-stream")
CONTROL = Cell("postgres", "unprotected", (), "order-stream")

LAST = Cell("mariadb", "unprotected", (), "order-stream")


def test_every_strategy_meets_every_fault_that_it_claims_and_that_can_be():
    """Each pair of a guarded contender and a fault is in a cell, or has a reason; no cell has an impossible fault."""
    found = design(parts(), 1)
    met = {(each.contender, fault) for each in found.cells for fault in each.faults}
    reasons = {(each.contender, each.fault): each.reason for each in found.not_run}
    for contender in parts().contenders:
        for fault in FAULTS if protects_rows(contender) else ():
            assert ((contender.name, fault.name) in met) != ((contender.name, fault.name) in reasons)
    assert reasons["pessimistic", "failover"] == "takes no lock in Redis"
    for cell in found.cells:
        assert all(not parts().why_not(Contender.parse(cell.contender), each, cell.database) for each in cell.faults)
        assert len(cell.faults) <= FAULTS_OF_A_CELL
        assert not {"failover", "redis-kill"} <= set(cell.faults), "two faults of one server would undo each other"
        assert not {"failover", "pause"} <= set(cell.faults), "both wait for one process at its fault point"


def test_every_control_has_a_cell_made_for_it():
    """What protects nothing, a mutex in two processes and each bare lock: they must be caught, the others must not."""
    cells = design(parts(), 1).cells
    must = {each.contender for each in cells if parts().is_control(each)}
    assert must == {"unprotected", "in-process", "redis-spin:bare", "redis-pubsub:bare", "redlock:bare"}
    assert all((parts().expectation(each) == MUST_BREAK) == parts().is_control(each) for each in cells)
    assert {parts().expectation(each) for each in cells} == {HELD, MUST_BREAK}
    bare = {each.faults for each in cells if each.contender == "redlock:bare"}
    assert bare == {("pause",), ("failover",), ()}


def test_a_seed_repeats_its_cells():
    """The same seed, the same cells in the same order; another seed, others; no cell twice."""
    assert design(parts(), 3) == design(parts(), 3)
    assert design(parts(), 3) != design(parts(), 4)
    ids = [each.id for each in design(parts(), 3).cells]
    assert len(ids) == len(set(ids))


@pytest.fixture
def played(tmp_path):
    """Function: play cells with a stand-in; the results and the reports of progress."""

    async def play(player, *cells, state=None):
        reports = []
        file = StateFile(state, {"seed": 1})
        runner = CellRunner(player, 5.0, tmp_path / "histories")
        ring = Ring(parts(), cells or (CONTROL, GUARDED), runner, 1, file)
        return await ring.play(reports.append), reports

    return play


async def test_claims_that_are_kept(played, tmp_path):
    """The control is caught, the guarded strategy has no violation: the ring is right, and no history is kept."""
    results, reports = await played(StandIn(lambda cell: cell == CONTROL))
    assert [each.verdict for each in results] == [BROKEN_AS_CLAIMED, AS_CLAIMED]
    assert kept(results)
    assert results[0].operations == {"ok": 1}
    assert [(each.number, each.total, each.again) for each in reports] == [(1, 2, False), (2, 2, False)]
    assert reports[-1].left_s == 0
    assert not (tmp_path / "histories").exists()


async def test_a_violation_keeps_its_history_and_says_how_to_repeat_it(played):
    """The history can be read again; the command names the cell and the seed of the ring."""
    results, _ = await played(StandIn(lambda cell: True))
    assert [each.verdict for each in results] == [BROKEN_AS_CLAIMED, VIOLATED]
    assert not kept(results)
    history = read_history(Path(results[1].history))
    assert (history.seed, history.faults) == (GUARDED.seed(1), ("crash", "latency"))
    assert repeat_command(results[1], 1, 5.0) == f"stockade lab ring --cell {GUARDED.id} --seed 1 --seconds 5"


async def test_a_control_that_is_not_caught_fails_the_ring(played):
    """A ring in which nothing fails proves nothing."""
    results, _ = await played(StandIn())
    assert results[0].verdict == NOT_CAUGHT
    assert results[0].history
    assert not kept(results)


async def test_a_fault_that_did_not_act_proves_nothing(played):
    """The cell is played once more with the next seed, and is then neither kept nor violated: its history is there."""
    player = StandIn(lambda cell: cell == CONTROL, hit=lambda cell: ())
    results, _ = await played(player)
    assert player.played == [CONTROL.id, GUARDED.id, GUARDED.id]
    assert (results[1].verdict, results[1].seed) == (NOT_EXPOSED, GUARDED.seed(1) + 1)
    assert results[1].reason.startswith("not exposed: crash hit nothing, latency hit nothing; before: seed ")
    assert read_history(Path(results[1].history)).faults == ("crash", "latency")
    assert (kept(results), kept(results, complete=True)) == (True, False)
    assert not_exposed(results) == [GUARDED.id]


async def test_a_cell_that_is_exposed_at_the_second_try_counts(played):
    """The verdict is that of the seed in which the faults acted, and the result says what they hit."""
    player = StandIn(hit=lambda cell: ("service 1",) if len(player.played) == 2 else ())
    (result,), _ = await played(player, GUARDED)
    assert (result.verdict, result.seed) == (AS_CLAIMED, GUARDED.seed(1) + 1)
    assert [(each.fault, each.hit) for each in result.exposure] == [
        ("crash", ("service 1",)),
        ("latency", ("service 1",)),
    ]
    read = CellResult.from_json(result.as_json())
    assert [each._replace(active_s=0.0) for each in result.exposure] == list(read.exposure)


async def test_a_fault_that_was_never_injected_proves_nothing(played):
    """The cell names the fault."""
    (result,), _ = await played(StandIn(inject=False), GUARDED)
    assert result.verdict == NOT_EXPOSED
    assert "crash was never injected, latency was never injected" in result.reason


async def test_a_control_that_is_caught_without_its_fault_is_not_exposed(played):
    """It may be broken for another reason than the one that its cell is made for."""
    bare = Cell("postgres", "redis-pubsub:bare", ("pause",), "order-stream")
    (result,), _ = await played(StandIn(lambda cell: True, hit=lambda cell: ()), bare)
    assert (result.expected, result.verdict) == (MUST_BREAK, NOT_EXPOSED)
    assert not kept([result])


async def test_a_violation_counts_although_a_fault_did_not_act(played):
    """Who breaks a rule under fewer faults breaks the claim; a control under no fault has nothing to miss."""
    results, _ = await played(StandIn(lambda cell: True, inject=False))
    assert [each.verdict for each in results] == [BROKEN_AS_CLAIMED, VIOLATED]
    assert results[1].reason == "not exposed: crash was never injected, latency was never injected"


async def test_a_recording_that_fails_is_tried_again_and_the_ring_goes_on(played):
    """One error costs a second try; two are the cell's reason, and the next cell is played."""
    errors = [LabError("the database did not start"), None, LabError("one"), LabError("two")]
    player = StandIn(lambda cell: True, lambda cell: errors.pop(0) if errors else None)
    results, _ = await played(player, CONTROL, GUARDED, LAST)
    assert player.played == [CONTROL.id] * 2 + [GUARDED.id] * 2 + [LAST.id]
    assert [(each.verdict, each.reason) for each in results] == [
        (BROKEN_AS_CLAIMED, "not recorded at first: LabError: the database did not start"),
        (FAILED, "LabError: one; then LabError: two"),
        (BROKEN_AS_CLAIMED, ""),
    ]


async def test_a_control_is_played_with_further_seeds_until_it_is_caught(played):
    """A fault may miss the moment; the result is that of the seed that caught it, and says how often it did not."""
    player = StandIn(lambda cell: len(player.played) == 3)
    (result,), _ = await played(player, CONTROL)
    assert (result.verdict, result.seed) == (BROKEN_AS_CLAIMED, CONTROL.seed(1) + 2)
    assert result.reason == f"before: seed {CONTROL.seed(1)}: not caught; seed {CONTROL.seed(1) + 1}: not caught"


async def test_who_is_late_once_is_played_again_and_who_is_late_twice_fails(played):
    """The same seed; a rule about data that is broken once counts at once."""
    player = StandIn(lambda cell: len(player.played) == 1, rule="in-time")
    (result,), _ = await played(player, GUARDED)
    assert (result.verdict, result.seed) == (AS_CLAIMED, GUARDED.seed(1))
    assert result.reason == f"before: seed {GUARDED.seed(1)}: in-time: 21 of 20"
    for rule, verdict, tries in (
        ("in-time", LATE, 2),
        ("nothing-left", LATE, 2),
        ("no-oversell", VIOLATED, 1),
        ("unexpected", VIOLATED, 1),
    ):
        player = StandIn(lambda cell: True, rule=rule)
        (result,), _ = await played(player, GUARDED)
        assert (result.verdict, len(player.played)) == (verdict, tries)
        assert result.history
        assert not kept([result])


async def test_another_rule_about_time_each_time_is_no_finding(played):
    """Only the same rule twice is late; what both tries found is shown."""
    player = StandIn(lambda cell: True)

    async def play(cell, seed):
        player.rule = ("in-time", "liveness")[len(player.played) % 2]
        return await player(cell, seed)

    (result,), _ = await played(play, GUARDED)
    assert (result.verdict, len(player.played)) == (AS_CLAIMED, 2)
    assert [each.rule for each in result.violations] == ["liveness"]
    assert "in-time" in result.reason


@pytest.mark.parametrize(
    "left",
    [
        Leftovers(keys_not_free=("a",)),
        Leftovers(lock_keys_without_expiry=("a",)),
        Leftovers(highest={"queue": 9}, bounds={"queue": 8}),
    ],
)
async def test_a_lock_that_stays_and_a_queue_above_its_bound_count_at_once(played, left):
    """A busy machine explains neither; the counters of the same rule it does."""
    player = StandIn(lambda cell: True, rule="nothing-left", leftovers=left)
    (result,), _ = await played(player, GUARDED)
    assert (result.verdict, len(player.played)) == (VIOLATED, 1)


async def test_a_recording_that_fails_in_a_group_of_tasks_does_not_end_the_ring(played):
    """Up to Python 3.12 a failed group leaves its task marked as cancelled, as the end of the ring does."""

    async def fail():
        await asyncio.sleep(0)
        raise LabError("a fault could not be injected")

    async def play(cell, seed):
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    (result,), _ = await played(play, GUARDED)
    assert result.verdict == FAILED
    assert result.reason.count("a fault could not be injected") == 2


async def test_an_error_on_the_way_to_the_end_of_the_ring_is_no_failed_recording(played):
    """A ring that is ended by a signal plays nothing more, whatever the end of the servers raises."""

    async def play(cell, seed):
        ring.cancel()
        try:
            await asyncio.Event().wait()
        finally:
            raise LabError("the server had gone")

    ring = asyncio.create_task(played(play, GUARDED))
    with pytest.raises(asyncio.CancelledError):
        await ring


async def test_an_interrupted_ring_goes_on(played, tmp_path):
    """What is in the state file is not played again, and its result counts."""
    state = tmp_path / "state"
    first, second = StandIn(lambda cell: cell == CONTROL), StandIn()
    await played(first, CONTROL, state=state)
    results, reports = await played(second, state=state)
    assert second.played == [GUARDED.id]
    assert kept(results)
    assert [each.again for each in reports] == [True, False]


async def test_a_cell_without_a_recording_is_played_again(played, tmp_path):
    """A ring that goes on tries once more what could not be recorded."""
    state = tmp_path / "state"
    await played(StandIn(raises=lambda cell: LabError("no server")), CONTROL, state=state)
    results, _ = await played(StandIn(lambda cell: True), CONTROL, state=state)
    assert [each.verdict for each in results] == [BROKEN_AS_CLAIMED]
