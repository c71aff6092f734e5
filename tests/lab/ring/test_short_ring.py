"""The short ring: a few cells of the ring under real faults, other ones each day, and a control that must be caught."""

import time
from pathlib import Path

import pytest

from stockade.lab.recording.fault import protects_rows
from stockade.lab.ring.expectation import BROKEN_AS_CLAIMED, HELD, KEPT, LATE, NOT_EXPOSED, VIOLATED
from stockade.lab.ring.player import CellRunner
from stockade.lab.ring.recording_player import RecordingPlayer
from stockade.lab.ring.report import failure_lines, repeat_command
from stockade.lab.ring.usual_parts import RING_FAULTS, RING_WORKLOADS, narrowed, usual_parts
from stockade.lab.site.site_servers import SiteServers
from tests.lab.ring import parts as stand_ins
from tests.lab.ring.short_ring import CELLS, seed_of_today, short_ring

SECONDS = 3.0  # of load in each cell
BUDGET_S = 60.0  # no cell begins after this; on an idle machine all of them do
AT_LEAST = 3  # cells, whatever the machine is busy with
LEFT_TO_THE_RING = "kafka"  # a broker starts for seconds: the ring itself and tests/kafka have it


def real_parts():
    """What this machine can run, without the strategy whose server takes longest to start."""
    usual = usual_parts()
    names = [name for name in usual.contender_names if name != LEFT_TO_THE_RING]
    return narrowed(usual, contenders=names, faults=RING_FAULTS, workloads=RING_WORKLOADS)


@pytest.fixture(scope="module")
def today():
    """The parts, the seed of the day, and its cells."""
    seed = seed_of_today()
    return real_parts(), seed, short_ring(real_parts(), seed)


@pytest.mark.postgres
@pytest.mark.mariadb
@pytest.mark.redis
@pytest.mark.timeout(240)
async def test_cells_of_today(today, tmp_path_factory, record_property):
    """Guarded strategies break no rule under today's faults, and today's control is caught."""
    parts, seed, cells = today
    histories = tmp_path_factory.getbasetemp() / "ring-histories"
    complaints, began_s = [], time.monotonic()
    async with SiteServers() as servers:
        runner = CellRunner(RecordingPlayer(parts, SECONDS, servers), SECONDS, Path(histories))
        for number, cell in enumerate(cells):
            if number >= AT_LEAST and time.monotonic() - began_s > BUDGET_S:
                break
            result = await runner.run(cell, cell.seed(seed), parts.expectation(cell))
            again = repeat_command(result, seed, SECONDS)
            failed = failure_lines(result, again)
            missed = result.verdict == NOT_EXPOSED and not parts.is_control(cell)
            if missed or result.verdict == LATE:  # other tests keep the machine busy: the ring itself judges these
                record_property(f"{result.verdict}: {cell.id}", "\n".join(failed))
            elif result.verdict not in KEPT:  # one that was late and then as claimed says so, and is none
                complaints += [f"{cell.id}: {result.verdict}", *failed]
            elif parts.is_control(cell):
                assert result.verdict == BROKEN_AS_CLAIMED
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("seed", range(20260101, 20260111))
def test_the_cells_of_each_day_differ_among_each_other(seed):
    """Each day has one control and five others, on every database, under several strategies and many faults."""
    parts = stand_ins.parts()
    cells = short_ring(parts, seed)
    assert len(set(cells)) == CELLS
    assert [parts.is_control(cell) for cell in cells] == [True] + [False] * (CELLS - 1)
    assert {parts.expectation(cell) for cell in cells[1:]} == {HELD}
    assert {cell.database for cell in cells} == set(parts.databases)
    assert len({cell.contender for cell in cells}) == CELLS
    assert {fault for cell in cells for fault in cell.faults} == set(parts.fault_names)


def test_another_day_has_other_cells():
    """Over four weeks every contender that claims something has its turn, and several controls."""
    parts = stand_ins.parts()
    some = [cell for day in range(1, 29) for cell in short_ring(parts, 20260600 + day)]
    assert {cell.contender for cell in some} >= {each.name for each in parts.contenders if protects_rows(each)}
    assert len({cell.contender for cell in some if parts.is_control(cell)}) > 2
    assert short_ring(parts, 20260601) == short_ring(parts, 20260601) != short_ring(parts, 20260602)


async def test_a_violation_names_the_cell_its_seed_and_the_command(tmp_path):
    """The control of this file: a player that finds a violation makes lines that the first test would fail with."""
    parts = stand_ins.parts()
    (_, cell, *_) = short_ring(parts, 20260101)
    runner = CellRunner(stand_ins.StandIn(lambda cell: True), SECONDS, tmp_path)
    result = await runner.run(cell, cell.seed(20260101), parts.expectation(cell))
    assert result.verdict == VIOLATED
    lines = "\n".join(failure_lines(result, repeat_command(result, 20260101, SECONDS)))
    assert f"stockade lab ring --cell {cell.id} --seed 20260101 --seconds 3" in lines
    assert f"seed of the recording {cell.seed(20260101)}" in lines
    assert "21 of 20" in lines
