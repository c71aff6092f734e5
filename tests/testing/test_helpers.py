"""`stockade.testing`: each helper does what it says, and catches what it is there to catch."""

import asyncio
import secrets
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any, ClassVar

import asyncpg
import pytest
from sqlalchemy import make_url

from coupons.application import APPLICATION
from coupons.commands import GiveCoupon
from coupons.tables import OPEN, CampaignState
from stockade.core import Accepted, Busy, Change, Decision, Key, NotSupported
from stockade.testing import Rendezvous, WrongCommand, decide, fresh_database, race_commands, request_ids

SPRING = Key("campaign", "spring")
SEEN = Key("seen", "spring")  # its state is a list, which a command could change
STATE = CampaignState(10, 10, 2_000, OPEN)
GIVE = GiveCoupon("0" * 32, "spring", "ann", 1_000)


@dataclass(frozen=True)
class Wrong:
    """A command that decides what a test says."""

    decision: Any
    name: ClassVar[str] = "wrong"
    strategy_group: ClassVar[str] = "coupons"
    request_id: ClassVar[str] = "0" * 32
    fingerprint: str = "f"
    now_ms: int = 1
    keys: Any = (SPRING,)

    def decide(self, rows):
        """Decide what the test says."""
        return self.decision(rows) if callable(self.decision) else self.decision


def accepted(**parts):
    return Decision(Accepted({}), **parts)


counts = iter(range(100))
WRONG = {
    "nothing": (Wrong(None), "must be a Decision"),
    "no outcome": (Wrong(Decision()), "must be Accepted or Rejected"),
    "another row": (Wrong(accepted(changes={Key("campaign", "x"): Change(STATE)})), "changes campaign:x"),
    "a row that it changes": (
        Wrong(lambda rows: rows[SEEN].state.append(1) or accepted(), keys=(SEEN,)),
        "changed a row",
    ),
    "random numbers": (Wrong(lambda rows: Decision(Accepted({"n": next(counts)}))), "decided twice"),
    "more and more rows": (
        Wrong(lambda rows: Decision(need_keys=[Key("campaign", str(len(rows)))])),
        "asked for more rows",
    ),
    "a long fingerprint": (Wrong(accepted(), fingerprint="f" * 33), "1 to 32 characters: hash the content"),
    "a time with a fraction": (Wrong(accepted(), now_ms=1.5), "now_ms must be an int"),
}


@pytest.mark.parametrize(("command", "says"), WRONG.values(), ids=WRONG)
def test_decide_refuses_a_wrong_command(command, says):
    """Each breach of the contract is named; a right command decides (control)."""
    with pytest.raises(WrongCommand, match=says):
        decide(command, {SPRING: STATE, SEEN: []})
    assert decide(GIVE, {SPRING: STATE}).changes[SPRING].state.free == 9


def test_decide_loads_the_rows_that_a_command_asks_for():
    """A command that needs a further row decides with it."""

    def asking(rows):
        other = Key("campaign", "other")
        return Decision(Accepted({"free": rows[other].state.free})) if other in rows else Decision(need_keys=[other])

    decision = decide(Wrong(asking), {SPRING: STATE, Key("campaign", "other"): STATE._replace(free=3)})
    assert decision.outcome.data == {"free": 3}


async def test_a_race_begins_together_and_returns_errors():
    """All callers start before the first ends; what one raises is its result."""
    running, most = [], []

    async def execute(command):
        running.append(command)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(command)
        if command.user == "eve":
            raise RuntimeError("no")
        return Accepted({"user": command.user})

    results = await race_commands(execute, [SimpleNamespace(user=name) for name in ("ann", "bob", "eve")])
    assert max(most) == 3
    assert [each.data["user"] for each in results[:2]] == ["ann", "bob"]
    assert isinstance(results[2], RuntimeError)


async def test_a_race_that_never_ends_is_ended():
    """The time limit cancels every caller."""
    never = asyncio.Event()

    async def execute(command):
        await never.wait()

    with pytest.raises(TimeoutError):
        await race_commands(execute, [SimpleNamespace(), SimpleNamespace()], timeout_s=0.05)


def test_request_ids_are_the_same_in_every_run():
    """Ids of one test differ from each other and from those of another test, and repeat in the next run."""
    one, two, other = (list(islice(request_ids(name), 3)) for name in ("a", "a", "b"))
    assert one == two
    assert len({*one, *other}) == 6
    assert {len(each) for each in one} == {32}


async def test_a_fresh_database_is_removed(postgres_url, tmp_path):
    """On a server a new database, which is gone afterwards; a SQLite file stays."""
    async with fresh_database(APPLICATION, postgres_url) as opened:
        name = opened.url.database
        assert await opened.read(APPLICATION.audit) == []
    async with fresh_database(APPLICATION, f"sqlite:///{tmp_path / 'c.db'}"):
        pass
    assert (tmp_path / "c.db").exists()
    assert name != postgres_url.rpartition("/")[2]


async def test_a_database_that_cannot_be_made_is_one_line(postgres_url):
    """A user who may not create databases, and a server that is not there: what is needed, and no traceback."""
    name = f"plain_{secrets.token_hex(4)}"
    owner = await asyncpg.connect(postgres_url)
    try:
        await owner.execute(f"CREATE USER {name} PASSWORD 'plain'")
        theirs = make_url(postgres_url).set(username=name, password="plain").render_as_string(hide_password=False)
        with pytest.raises(NotSupported, match=r"permission denied to create database; .* the user needs CREATEDB"):
            await fresh_database(APPLICATION, theirs).__aenter__()
    finally:
        await owner.execute(f"DROP USER {name}")
        await owner.close()
    with pytest.raises(Busy, match=r"127\.0\.0\.1"):
        await fresh_database(APPLICATION, "postgresql://nobody@127.0.0.1:1/x").__aenter__()


def test_a_meeting_that_cannot_be():
    """Of one transaction, or without time."""
    for wrong in ({"parties": 1}, {"timeout_s": 0}):
        with pytest.raises(ValueError, match="at least 2 parties"):
            Rendezvous(**wrong)
