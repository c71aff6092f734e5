"""Complexity is counted: lines on a text whose lines are known, the rest on what must differ between strategies."""

import pytest

from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.complexity import _closure, _defined_in, _lines, code_lines, complexity_of
from stockade.strategies import registry
from stockade.strategies.options import Options

SOURCE = '''"""A docstring.

Of three lines."""

import os  # 1


# a comment
def call(  # 2
    argument,  # 3
):  # 4
    """What it does."""
    text = """two
lines"""  # 5 and 6
    return os.path.join(argument, text)  # 7
'''


def test_lines_are_those_with_code():
    """No docstring, comment or blank line; a text of two lines has two."""
    assert code_lines(SOURCE) == 7
    assert code_lines("") == 0


@pytest.fixture(scope="module")
def found():
    """Of every strategy on PostgreSQL."""
    return {name: complexity_of(Contender(name), "postgres") for name in registry.names()}


def test_the_plainest_has_nothing_beyond_itself(found):
    """Every other one is compared with what `unprotected` needs too."""
    plain = found["unprotected"]
    assert (plain.further_lines, plain.services, plain.dependencies, plain.further_failure_modes) == (0, {}, (), ())
    assert 0 < found["optimistic"].further_lines < found["sequencer"].further_lines < found["redis-spin"].further_lines


def test_a_name_counts_with_the_file_that_defines_it(found):
    """A lock in the process needs no Redis, although one package offers both; a log needs its worker too."""
    assert _defined_in("stockade.locks.aio", "MemoryLocks") == "stockade.locks.async_api"
    assert _defined_in("stockade.locks", "RedisLocks").startswith("stockade.locks.redis")
    assert _defined_in("os", "path") == "os"
    needed = _closure({"stockade.strategies.in_process"})
    assert [name for name in needed if name.startswith("stockade.locks.engine.")]
    assert not [name for name in needed if name.startswith(("stockade.locks.redis", "stockade.locks.database"))]
    assert found["in-process"].further_lines < found["redis-spin"].further_lines / 2
    own = _closure({"stockade.strategies.kafka"})
    assert found["kafka"].further_lines > sum(map(_lines, own - _closure({"stockade.strategies.unprotected"})))


def test_services_and_packages_come_from_the_registry_and_the_metadata(found):
    """Redlock needs three servers, Kafka a broker and workers."""
    assert found["redlock"].services == {"redis": 3}
    assert found["kafka"].services == {"kafka": 1, "stockade worker": 1}
    assert found["redis-pubsub"].dependencies == ("redis",)
    assert found["kafka"].dependencies == ("confluent-kafka",)
    assert not found["sequencer"].services


def test_settings_are_members_of_the_options_that_the_code_reads(found):
    """A lock of Redis has a lease; only the spin lock has a pause; the queue has a bound."""
    assert {"lease_s", "redis", "renew", "wait_s"} <= set(found["redis-pubsub"].settings)
    assert "spin_ms" in found["redis-spin"].settings
    assert "spin_ms" not in found["redis-pubsub"].settings
    assert {"queue_size", "max_batch"} <= set(found["sequencer"].settings)
    assert "kafka.topic" in found["kafka"].settings
    plain = {name for each in found.values() for name in each.settings if "." not in name}
    assert all(hasattr(Options(), name) for name in plain)


def test_failure_modes_are_faults_that_can_hit_it(found):
    """A server more is a failure mode more; SQLite has no server that could be killed."""
    assert "redis-kill" in found["redis-pubsub"].further_failure_modes
    assert "broker-kill" in found["kafka"].further_failure_modes
    assert not found["sequencer"].further_failure_modes
    assert "database-kill" in found["sequencer"].failure_modes
    assert "database-kill" not in complexity_of(Contender("sequencer"), "sqlite").failure_modes
