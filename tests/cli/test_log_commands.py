"""`stockade dead-letters` and `stockade positions`: what did not go through is seen, mended and sent again by hand."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.kafka.producer import Producer
from stockade.store.outbox import Outbox
from tests.cli.test_commands import assert_one_line
from tests.kafka.harness import accepted, rigged
from tests.kafka.test_poison import Mended
from tests.relay.conftest import Memory, buy, drain, events_of, ids_of, relay_over
from tests.store.conftest import opened, stocked
from tests.waiting import eventually_async


@pytest.fixture
def url(tmp_path, monkeypatch):
    """An embedded database, in a folder of its own; nothing is set in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STOCKADE_KAFKA_BOOTSTRAP", raising=False)
    return f"sqlite:///{tmp_path / 'shop.sqlite'}"


@pytest.fixture
async def rig(url, kafka_bootstrap):
    """A shop over a fresh topic of one partition."""
    async with rigged(url, kafka_bootstrap, parts=1) as found:
        await found.product("s", stock=100)
        yield found


async def run(url, *words):
    """The command line on this database: it has an event loop of its own, so it runs on another thread."""
    return await asyncio.to_thread(CliRunner().invoke, app, [*map(str, words), "--database", url])


async def over_log(rig, *words):
    """The command line on the rig's database and log."""
    pairs = {"kafka_bootstrap": rig.log.bootstrap, "kafka_topic": rig.log.topic, "kafka_group": rig.log.group}
    given = [word for name, value in pairs.items() for word in ("--set", f"{name}={value}")]
    return await run(rig.url, *words, *given)


async def listed(rig):
    """The dead letters as {name: (kind, state, reason)}."""
    result = await over_log(rig, "dead-letters", "list", "--json")
    assert result.exit_code == 0, result.output
    return {each["name"]: (each["kind"], each["state"], each["reason"]) for each in json.loads(result.stdout)}


async def test_dead_letters_of_the_log(rig):
    """Garbage and an order that failed on a bug are listed with reasons; the order, sent again, is decided, once."""
    from stockade.shop.model.resources import SHOP_RESOURCES

    assert await listed(rig) == {}
    store, cursed = Mended(rig.database, SHOP_RESOURCES), rig.order(user="cursed")
    producer = Producer(rig.log.bootstrap)
    async with rig.strategy() as strategy, rig.worker(store) as worker:
        await producer.deliver(rig.log.topic, b"\xff", key=b"k", headers={}, wait_s=10)
        await strategy.submit(cursed)
        await eventually_async(lambda: dead(worker, 2))
        found = await listed(rig)
        assert (found["log:0"][:2], found["log:1"][:2]) == (("", "open"), ("place_order", "open"))
        assert found["log:0"][2].startswith("not a command")
        assert found["log:1"][2].startswith("ZeroDivisionError: a bug")
        shown = (await over_log(rig, "dead-letters", "show", "log:1")).stdout
        assert '"user_id":"cursed"' in shown
        assert "ff" in (await over_log(rig, "dead-letters", "show", "log:0")).stdout
        store.mended = True
        result = await over_log(rig, "dead-letters", "send-again", "log:1")
        assert (result.exit_code, result.stdout) == (0, "sent again: 0 events, 1 commands\n")
        await eventually_async(lambda: rig.decided([cursed]))
        assert (await listed(rig))["log:1"][1] == "decided"
        again = await over_log(rig, "dead-letters", "send-again", "--all")
        assert again.stdout == "sent again: 0 events, 1 commands\n"  # the garbage; it comes back
        await eventually_async(lambda: dead(worker, 3))
    await asyncio.to_thread(producer.close)
    assert "place_order" in (await over_log(rig, "dead-letters", "list")).stdout
    assert await rig.check([cursed]) == 1


async def dead(worker, count):
    """Whether so many dead letters were made."""
    return worker.stats.dead >= count


async def test_dead_letters_of_the_outbox(url):
    """An event that the sink refused is listed with its reason; sent again, it arrives; without a log this is said."""
    async with opened(url) as database:
        await Outbox(database).open()
        store = await stocked(database, "a", "b", "c", "d", n=1000)
        ids = await buy(store, range(4))
        sink = Memory()
        sink.refuse = {ids[1]}
        relay = relay_over(database, sink, tries=1)
        await drain(relay)
        result = await run(url, "dead-letters", "list")
        assert "not to my taste" in result.stdout
        assert "kafka_bootstrap is not set" in result.stderr
        ((letter, _),) = await Outbox(database).dead()
        assert_one_line(await run(url, "dead-letters", "send-again", "events:0"), "events:0", "--limit")
        assert_one_line(await run(url, "dead-letters", "send-again"), "--all")
        sink.refuse = set()
        result = await run(url, "dead-letters", "send-again", f"events:{letter.id}")
        assert result.stdout == "sent again: 1 events, 0 commands\n"
        await drain(relay)
        assert {event.event_id for event in sink.got} == set(ids_of(events_of(range(4))))
        assert "no dead letters" in (await run(url, "dead-letters", "list")).stdout


async def places(rig):
    """The one partition as (position, end, behind)."""
    result = await over_log(rig, "positions", "list", "--json")
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    return row["position"], row["end"], row["behind"]


async def test_a_position_is_set_by_hand_while_no_worker_runs(rig):
    """With a worker at work it is refused; without one the partition is decided again, and nothing moves twice."""
    commands = [rig.order() for _ in range(5)]
    async with rig.strategy() as strategy:
        async with rig.worker():
            assert accepted(await rig.place(strategy, commands)) == 5
            refused = await over_log(rig, "positions", "rewind", "0", "first")
            assert_one_line(refused, "stop the workers first")
        assert await places(rig) == (5, 5, 0)
        result = await over_log(rig, "positions", "rewind", "0", "first")
        assert (result.exit_code, result.stdout) == (0, f"{rig.log.topic}/0: 5 -> 0\n")
        assert await places(rig) == (0, 5, 5)
        async with rig.worker():
            await eventually_async(lambda: all_read(rig))
    assert await rig.check(commands) == 5
    assert await rig.left() == 95
    assert "behind" in (await over_log(rig, "positions", "list")).stdout


async def all_read(rig):
    """Whether the position is at the end."""
    return (await rig.positions.read()).get(0) == 5


async def test_a_position_that_cannot_be_is_refused(rig):
    """A partition or an offset that is not there, a word, a partition nobody has read, no brokers: one line each."""
    async with rig.strategy() as strategy:
        await strategy.submit(rig.order())
    assert_one_line(await over_log(rig, "positions", "rewind", "0", "first"), "never read")
    await rig.positions.take(0, 0)
    assert_one_line(await over_log(rig, "positions", "rewind", "1", "first"), "no partition 1; there are: 0")
    assert_one_line(await over_log(rig, "positions", "rewind", "0", "2"), "it holds 0 to 1")
    assert_one_line(await over_log(rig, "positions", "rewind", "0", "soon"), "must be an offset, first or end")
    assert_one_line(await run(rig.url, "positions", "list"), "kafka_bootstrap is empty")
    assert (await rig.positions.read()) == {0: 0}
