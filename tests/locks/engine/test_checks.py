"""Wrong parameters are refused when they are given, in one line that names them; nothing is sent."""

import copy
import math
import pickle

import pytest

from stockade import locks as sync
from stockade.locks import RedisTuning, aio
from stockade.locks.checks import MAX_NAME_BYTES
from tests.locks.redis.test_connections_heal import done

NUMBERS = [-1, math.nan, "5", True]
FACES = {"sync": sync, "aio": aio}
MAKERS = {
    "memory": lambda face, **given: face.MemoryLocks(**given),
    "redis": lambda face, **given: face.RedisLocks("redis://127.0.0.1:1", **given),
    "cluster": lambda face, **given: face.RedisLocks("redis://127.0.0.1:1", cluster=True, **given),
    "quorum": lambda face, **given: face.QuorumLocks([f"redis://127.0.0.1:{port}" for port in (1, 2, 3)], **given),
    "postgres": lambda face, **given: face.PostgresLocks("postgresql://a@127.0.0.1:1/a", **given),
    "mysql": lambda face, **given: face.MySQLLocks("mariadb://a@127.0.0.1:1/a", **given),
}
PROVIDER = [(kind, "lease_s", value) for kind in MAKERS if kind != "memory" for value in (0, *NUMBERS)]
PROVIDER += [(kind, "patience_s", value) for kind in ("postgres", "mysql") for value in (0, math.inf, *NUMBERS)]
PROVIDER += [(kind, "connections", value) for kind in ("postgres", "mysql") for value in (0, 1.5, math.inf, *NUMBERS)]
TUNING = [(name, value) for name in ("spin_s", "poll_s", "call_s") for value in (0, math.inf, *NUMBERS)]
TUNING += [("patience_s", value) for value in (math.inf, *NUMBERS)]
TUNING += [("wait_replicas", value) for value in (1.5, *NUMBERS)] + [("prefix", 5), ("prefix", "\ud800")]
NAMES = ["", None, 5, b"a", "\ud800", "x" * (MAX_NAME_BYTES + 1)]
WRONG = (TypeError, ValueError)


def refused(work, name):
    """The call is refused in one line that names the parameter."""
    with pytest.raises(WRONG) as caught:
        work()
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize(("kind", "name", "value"), PROVIDER)
def test_options_of_providers(face, kind, name, value):
    """Each option of each provider."""
    refused(lambda: MAKERS[kind](FACES[face], **{name: value}), name)


@pytest.mark.parametrize(("name", "value"), TUNING)
def test_times_of_redis(name, value):
    """Each field of `RedisTuning`."""
    refused(lambda: RedisTuning(**{name: value}), name)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", MAKERS)
async def test_locks_of_every_provider(face, kind):
    """Names, leases, answers to a loss, and time limits."""
    locks = MAKERS[kind](FACES[face])
    for name in NAMES:
        refused(lambda given=name: locks.lock(given), "name")
    for value in (0, *NUMBERS):
        refused(lambda given=value: locks.lock("a", lease_s=given), "lease_s")
    for value in ("later", None, 5):
        refused(lambda given=value: locks.lock("a", on_lost=given), "on_lost")
    for value in (5, b"a", "\ud800"):
        refused(lambda given=value: locks.lock("a", metadata=given), "metadata")
    for option in ("renew", "fair", "reentrant"):
        for value in (None, 1, "yes"):
            refused(lambda option=option, given=value: locks.lock("a", **{option: given}), option)
    refused(lambda: locks.lock("a", bogus=1), "no option bogus, only lease_s")
    for value in (0, 1.5, *NUMBERS):
        refused(lambda given=value: locks.semaphore("a", given), "permits")
    for value in (-2, math.nan, "5", True):
        with pytest.raises(WRONG, match="timeout"):
            await done(locks.lock("a").acquire(timeout=value))
        refused(lambda given=value: locks.synchronized("a", timeout=given), "timeout")
        refused(lambda given=value: locks.lock("a").hold(given), "timeout")
        refused(lambda given=value: locks.multi("a", "b").hold(given), "timeout")
    for name, sort, said in ((5, "lock", "name"), ("\ud800", "lock", "name"), ("a", "mutex", "kind")):
        for method in (locks.inspect, locks.break_):
            with pytest.raises(WRONG, match=said):
                await done(method(name, sort))
    await done(locks.close())


@pytest.mark.parametrize("face", FACES)
async def test_arguments_of_other_calls(face):
    """What is no lock, no function, no detached lease, no answer to "wait?", no owner word, no number."""
    module = FACES[face]
    locks = module.MemoryLocks()
    refused(lambda: locks.multi("a", 3), "given by name, or as locks; got int")
    refused(lambda: locks.multi(["a", "b"]), "given by name, or as locks; got list")
    refused(lambda: locks.on_event(None), "listener must be a function; got NoneType")
    refused(lambda: locks.synchronized(order), '@locks.synchronized("order:{order_id}")')
    refused(lambda: locks.synchronized("a", bogus=1), "no option bogus, only lease_s")
    for call, said in (
        (lambda: locks.lock("a").acquire(5), "a time limit is timeout=2.5"),
        (lambda: locks.lock("a").acquire("no"), "blocking is True or False"),
        (lambda: locks.lock("a").acquire(token=5), "token must be a str"),
        (lambda: locks.lock("a").adopt("token"), "adopt takes the Detached of lease.detach()"),
        (lambda: locks.lock("a").adopt(module.Detached("b", "x.1", 1)), "cannot adopt a lease of 'b'"),
        (lambda: locks.raise_fence(5, 5), "name"),
        (lambda: locks.raise_fence("a", "5"), "at_least"),
        (lambda: locks.raise_fence("a", 2**53), "at_least must be at most"),
    ):
        with pytest.raises(WRONG) as caught:
            await done(call())
        assert said in str(caught.value)
    lease = await done(locks.lock("a").acquire(1))
    refused(lambda: lease.on_lost(None), "callback must be a function")
    await done(lease.release())
    await done(locks.close())


WRONG_SERVERS = {
    "None": (lambda face: face.RedisLocks(None), "expected a URL or a redis"),
    "no tuning": (lambda face: face.RedisLocks("redis://h", "shop:"), "tuning is a RedisTuning"),
    "fair": (lambda face: face.RedisLocks("redis://h", fair="yes"), "fair must be True or False"),
    "cluster": (lambda face: face.RedisLocks("redis://h", cluster="yes"), "cluster must be True or False"),
    "no lease": (lambda face: face.RedisLocks("redis://h", lease_s=None), "needs a lease_s"),
    "prefix": (lambda face: face.RedisLocks("redis://h", prefix=5), "prefix must be a str"),
    "several": (lambda face: face.RedisLocks(["redis://h", "redis://i"]), "cluster=True), or for QuorumLocks"),
    "quorum of None": (lambda face: face.QuorumLocks(None), "a list of URLs, three or more; got NoneType"),
    "quorum of one text": (lambda face: face.QuorumLocks("redis://h"), "a list of URLs, three or more; got str"),
    "quorum of nothing": (lambda face: face.QuorumLocks([None] * 3), "a list of URLs, three or more; got a list of"),
    "quorum of one": (lambda face: face.QuorumLocks(["redis://h"] * 3), "a URL is named twice"),
    "PostgreSQL at None": (lambda face: face.PostgresLocks(None), "PostgresLocks needs a URL"),
    "MySQL at None": (lambda face: face.MySQLLocks(None), "MySQLLocks needs a URL"),
    "another option": (lambda face: face.MySQLLocks("mysql://h/d", bogus=1), "no option bogus, only prefix"),
}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("what", WRONG_SERVERS)
def test_what_is_no_server(what, face):
    """Refused when the provider is made."""
    make, said = WRONG_SERVERS[what]
    refused(lambda: make(FACES[face]), said)


def test_a_client_of_the_other_face():
    """The text says for which face it is."""
    import redis.asyncio

    refused(lambda: sync.RedisLocks(redis.asyncio.Redis()), "which is for stockade.locks.aio")
    refused(lambda: aio.RedisLocks(redis.Redis()), "which is for stockade.locks")


def order(order_id, *more, **options):
    """What is decorated."""


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("template", ["", None, 5, "{", "{}", "{0}", "{user_id}", "a:{order_id}:{user_id.name}"])
def test_templates(face, template):
    """A template that cannot be filled is refused where it is written, not at the first call."""
    refused(lambda: MAKERS["memory"](FACES[face]).synchronized(template)(order), "template" if template else "")


@pytest.mark.parametrize(
    "template", ["plain", "{order_id}", "{order_id.name}", "{more[0]}", "{options[user]}", "{{x}}"]
)
def test_control_templates(template):
    """What can be filled is taken."""
    MAKERS["memory"](sync).synchronized(template)(order)


async def test_a_held_lease_refuses_wrong_times():
    """Both calls of a lease that take seconds."""
    with sync.MemoryLocks() as locks, locks.lock("a").hold() as lease:
        for value in (0, *NUMBERS):
            refused(lambda given=value: lease.extend(given), "lease_s")
        for value in NUMBERS:
            refused(lambda given=value: lease.wait_lost(given), "timeout")


def test_control_what_is_right_is_taken():
    """The longest name, other letters, whole numbers as seconds, no patience over Redis, an endless lease in memory."""
    RedisTuning(spin_s=1, patience_s=0, wait_replicas=0)
    MAKERS["postgres"](sync, patience_s=1, connections=1).close()
    with sync.MemoryLocks() as locks:
        for name in ("x" * MAX_NAME_BYTES, "자물쇠", "a\nb"):
            locks.lock(name, lease_s=math.inf).acquire(timeout=1).release()


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("send", [pickle.dumps, copy.copy])
def test_a_provider_is_not_sent_to_another_process(send, kind, face):
    """Pickled, for a pool that spawns, or copied, it would be two that share sockets: refused in one line."""
    refused(lambda: send(MAKERS[kind](FACES[face])), "belongs to its process")
