"""Contenders: names, forms, what each form promises and needs, and which are left out for what reason."""

import pytest

from stockade.core import Guarantees
from stockade.lab.aimed_faults import faults
from stockade.lab.model.contender import Contender, all_contenders
from stockade.lab.presets import find
from stockade.lab.runs.fault_runner import choose_for_fault
from stockade.lab.runs.plan import Plan, choose
from stockade.lab.targets.redis_servers import RedisServers
from stockade.strategies import registry
from stockade.strategies.options import Options

REFERENCE = find("reference")
VARIANT = REFERENCE[0][1]
ONE = RedisServers(("redis://a",), "needs 3 independent redis servers, named are 1")
FOUR = RedisServers(tuple(f"redis://{n}" for n in range(4)))


def contenders(*names):
    """The contenders of these names."""
    return [Contender.parse(name) for name in names]


@pytest.mark.parametrize("name", ["redis-spin", "redis-pubsub", "redlock"])
def test_forms(name):
    """The fenced form promises what the usual one does; the bare one survives no fault that outlives a lease."""
    usual, fenced, bare = contenders(name, f"{name}:fence", f"{name}:bare")
    assert (usual.name, fenced.name, bare.name) == (name, f"{name}:fence", f"{name}:bare")
    assert usual.guarantees == fenced.guarantees == registry.guarantees(name)
    assert set(usual.guarantees.faults) >= {"crash", "pause", "failover", "restart"}
    assert bare.guarantees.faults == ("crash",)
    made = [each.options(Options()) for each in (usual, fenced, bare)]
    assert [(options.fence, options.bare) for options in made] == [(False, False), (True, False), (False, True)]


def test_all_contenders_are_every_strategy_and_every_form():
    """The usual run has each strategy once; a run under a fault has the bare forms as its controls."""
    assert [each.name for each in all_contenders(with_forms=False)] == list(registry.names())
    bare = {each.strategy for each in all_contenders(with_forms=True) if each.form == "bare"}
    assert bare == {name for name in registry.names() if registry.guarantees(name).needs == ("redis",)}


@pytest.mark.parametrize(
    ("names", "database", "redis", "count"),
    [
        ((), "sqlite", "", 0),
        ((), "sqlite", "redis://a", 3),
        ((), "postgres", "", 3),
        (("pessimistic",), "postgres", "", 0),
        (("redis-spin", "pessimistic"), "sqlite", "", 1),
        (("redlock:bare",), "sqlite", "", 3),
    ],
)
def test_how_many_redis_servers_a_run_needs(names, database, redis, count):
    """The default run on SQLite is the one that needs no server; a name, a real database or --redis asks for them."""
    assert Plan(REFERENCE, contenders(*names) or None, redis=redis).redis_wanted(database) == count


def test_which_contenders_run_on_which_servers():
    """One server is enough for one lock, not for a quorum; an even number is no quorum."""
    wanted = contenders("redis-spin", "redlock", "pessimistic")
    assert choose(VARIANT, wanted, "sqlite", ONE).run == contenders("redis-spin", "pessimistic")
    assert choose(VARIANT, wanted, "sqlite", ONE).left_out == [("redlock", ONE.missing)]
    assert choose(VARIANT, wanted, "sqlite", FOUR).left_out == [
        ("redlock", "needs an odd number of redis servers, not 4")
    ]
    assert choose(VARIANT, wanted, "sqlite", RedisServers()).run == contenders("pessimistic")
    assert FOUR.urls_for(wanted[0]) == ("redis://0",)
    assert FOUR.urls_for(wanted[1]) == FOUR.urls


def test_which_contenders_run_under_a_fault():
    """A fault of Redis concerns strategies that lock there; one that is right in one process only is left out."""
    run = {name: choose_for_fault(VARIANT, fault, None, "sqlite", "").run for name, fault in faults().items()}
    assert {each.strategy for each in run["failover"]} == {"redis-spin", "redis-pubsub", "redlock"}
    assert set(contenders("unprotected", "sequencer", "redlock:bare")) <= set(run["pause"])
    assert "in-process" not in {each.strategy for each in run["crash"]}
    missing = choose_for_fault(VARIANT, faults()["restart"], None, "sqlite", "no Redis: install one")
    assert not missing.run
    assert missing.left_out[0] == ("redis-spin", "needs redis: no Redis: install one")


def test_every_fault_is_in_the_guarantees_of_a_strategy():
    """A fault that no strategy promises to survive proves nothing, and its name is the one that promises use."""
    promised = {fault for name in registry.names() for fault in registry.guarantees(name).faults}
    assert set(faults()) <= promised
    assert not set(faults()) & set(Guarantees(faults=()).faults)
