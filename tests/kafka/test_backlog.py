"""How far the workers are behind: the ends of the log against the positions in the database, as a metric."""

import math
import time

import pytest

from stockade.core import Busy
from stockade.kafka.admin import Admin, OffsetRange
from stockade.kafka.backlog import undecided
from stockade.shop.config.settings import Settings
from stockade.shop.operations.backlog import KEEP_S, BacklogMetrics
from stockade.shop.operations.metrics import Metrics
from tests.kafka.harness import NOW_MS, rigged
from tests.waiting import eventually_async


@pytest.fixture(params=["classic", "consumer"])
async def rig(request, tmp_path, kafka_bootstrap):
    """A shop over a fresh topic, its workers under either group protocol."""
    url = f"sqlite:///{tmp_path / 'stockade.sqlite'}"
    async with rigged(url, kafka_bootstrap, protocol=request.param) as found:
        yield found


class Watched:
    """The metric of a rig, with a clock that is always late enough to ask again."""

    def __init__(self, rig):
        settings = Settings(
            strategy_stock="kafka", kafka_bootstrap=rig.log.bootstrap, kafka_topic=rig.log.topic, events="keep"
        )
        self.metrics, self.now_s = Metrics(), time.monotonic()
        self.lags = BacklogMetrics(settings, rig.database, self.metrics, lambda: NOW_MS, lambda: self.now_s)

    async def total(self):
        """Ask again; the sum over all partitions, and how many there are."""
        self.now_s += KEEP_S
        await self.lags.refresh()
        values = [each.value for family in self.metrics._log.collect() for each in family.samples]
        return sum(values), len(values)


async def test_commands_that_nobody_has_decided_are_counted(rig):
    """Five orders without a worker are five behind; with one, none is, and the group is in use only then."""
    await rig.product("s")
    watched, admin = Watched(rig), Admin(rig.log.bootstrap)
    async with rig.strategy() as strategy:
        assert await watched.total() == (0, 3)
        for _ in range(5):
            await strategy.submit(rig.order())
        assert await watched.total() == (5, 3)
        assert not admin.has_members(rig.log.group)
        async with rig.worker():
            assert await eventually_async(lambda: none_behind(watched))
            assert admin.has_members(rig.log.group)
    assert not admin.has_members(rig.log.group)


async def none_behind(watched):
    """Whether everything is decided."""
    return await watched.total() == (0, 3)


async def test_brokers_that_are_away_cost_the_figure_only(rig, monkeypatch):
    """The metric says that it is not known, instead of the last number or an error."""
    watched = Watched(rig)
    async with rig.strategy():
        await watched.total()

        def offset_ranges(self, topic):
            raise Busy("away", "DEPENDENCY_DOWN")

        monkeypatch.setattr(Admin, "offset_ranges", offset_ranges)
        total, count = await watched.total()
    assert (math.isnan(total), count) == (True, 3)


def test_a_partition_that_was_never_read_is_behind_from_its_first_message():
    """Messages that retention has removed are nobody's lag; a position beyond the end is not less than none."""
    ranges = {
        0: OffsetRange(0, 5),
        1: OffsetRange(10, 15),
        2: OffsetRange(10, 15),
        3: OffsetRange(0, 2),
        4: OffsetRange(7, 7),
    }
    assert undecided(ranges, {0: 3, 2: 4, 3: 9}) == {0: 2, 1: 5, 2: 5, 3: 0, 4: 0}
