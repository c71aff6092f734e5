"""Lab runs of the strategies that lock in Redis: private servers, named ones, published times beside ours."""

import pytest

from tests.lab.conftest import by_strategy

pytestmark = pytest.mark.redis
LOCKS = "redis-spin,redis-pubsub,redlock"
QUICK = ("--repeats", "1")


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch):
    """No server of the environment: what the lab does by itself is tested."""
    monkeypatch.delenv("STOCKADE_TEST_REDIS_URL", raising=False)


def test_named_strategies_get_private_servers(lab):
    """One Redis, or three for a quorum, is started because a strategy needs it; all forms sell 20 of 20."""
    code, document, output = lab(*QUICK, "--strategies", f"{LOCKS},redis-pubsub:fence,redis-spin:bare")
    runs = by_strategy(document)
    assert code == 0, output
    assert list(runs) == ["redis-spin", "redis-pubsub", "redlock", "redis-pubsub:fence", "redis-spin:bare"]
    assert {(run["accepted"], run["rejected"], run["left"]) for run in runs.values()} == {(20, 10, 0)}


def test_named_servers_are_used(lab, redis_url, monkeypatch):
    """By option or by environment; a quorum of one is left out with the reason."""
    code, document, output = lab(*QUICK, "--strategies", "redis-spin,redlock", "--redis", redis_url)
    assert code == 0, output
    assert list(by_strategy(document)) == ["redis-spin"]
    assert "left out: redlock: needs 3 independent redis servers, named are 1" in output
    monkeypatch.setenv("STOCKADE_TEST_REDIS_URL", redis_url)
    code, document, output = lab(*QUICK, "--strategies", "redis-pubsub,redlock")
    assert list(by_strategy(document)) == ["redis-pubsub"]


def test_two_processes_share_a_lock_server(lab):
    """What in-process cannot, a lock server can: two processes, one queue."""
    code, document, output = lab("--processes", "2", "--repeats", "2", "--strategies", "redis-pubsub,redlock:fence")
    assert code == 0, output
    assert {(run["accepted"], run["left"]) for run in document["runs"]} == {(20, 0)}


@pytest.mark.postgres
def test_published_times_beside_ours(lab, postgres_database):
    """The published times stand beside our times, on a real database."""
    names = "pessimistic,redis-spin,redis-pubsub"
    code, document, output = lab(*QUICK, "--database", postgres_database, "--strategies", names)
    assert code == 0, output
    rows = {line.split()[0]: line.split() for line in output.splitlines() if line.startswith(tuple(names.split(",")))}
    assert {name: row[8] for name, row in rows.items()} == {
        "pessimistic": "527",
        "redis-spin": "1129",
        "redis-pubsub": "584",
    }
    assert {run["accepted"] for run in document["runs"]} == {20}


def test_the_default_run_takes_them_in_when_a_redis_is_named(lab, redis_url):
    """The default run on SQLite uses no Redis, unless an option names one."""
    code, document, output = lab(*QUICK, "--redis", redis_url)
    assert code == 0, output
    assert {"redis-spin", "redis-pubsub"} <= set(by_strategy(document))
