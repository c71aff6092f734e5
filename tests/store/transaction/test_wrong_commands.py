"""Commands whose type is wrong are refused at their first use, with a message that says what to do."""

import re
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from stockade.core import Accepted, Decision, Guard, Key
from tests.store.commands import rid
from tests.store.conftest import soon

S = Key("stock", "s")
NUMBERS = count()


@dataclass(frozen=True)
class Right:
    """A command that changes nothing."""

    request_id: str
    fingerprint: str = "f"
    now_ms: int = 1
    name: str = "right"
    strategy_group: str = "stock"
    keys: Any = (S,)

    def decide(self, rows):
        """Accept."""
        return Decision(Accepted({}))


@dataclass
class Mutable:
    """Anybody can change it while the store works on it."""

    request_id: str
    fingerprint: str = "f"
    now_ms: int = 1
    name: str = "mutable"
    strategy_group: str = "stock"
    keys: tuple[Key, ...] = (S,)

    def decide(self, rows):
        """Accept."""
        return Decision(Accepted({}))


@dataclass(frozen=True)
class Restless(Right):
    """Its fingerprint is another one at each read."""

    salt: str = "s"

    def __getattribute__(self, name):
        return str(next(NUMBERS)) if name == "fingerprint" else super().__getattribute__(name)


@dataclass(frozen=True)
class Listed(Right):
    """Its keys are a list."""

    keys: Any = field(default_factory=lambda: [S])


@dataclass(frozen=True)
class Nameless(Right):
    """Without a name."""

    name: str = ""


@dataclass(frozen=True)
class Forgetful(Right):
    """Reads a row that it did not name."""

    def decide(self, rows):
        """Read another row."""
        return Decision(Accepted({"free": rows[Key("stock", "other")].state}))


@dataclass(frozen=True)
class Raises(Right):
    """Raises where it should refuse."""

    def decide(self, rows):
        """Divide by nothing."""
        return Decision(Accepted({"n": 1 // 0}))


class Nothing:
    """No command at all."""

    name = "nothing"


WRONG = {
    "no command": (Nothing(), "Nothing is no command: it has no strategy_group, request_id"),
    "mutable": (Mutable(rid("mutable")), r"Mutable can be changed .* use @dataclass\(frozen=True\)"),
    "restless": (Restless(rid("restless")), "fingerprint differs between two reads"),
    "keys in a list": (Listed(rid("listed")), "keys must be a tuple of Key"),
    "no name": (Nameless(rid("nameless")), "name must be a text"),
    "a row not loaded": (Forgetful(rid("forgetful")), "reads stock:other, which was not loaded: name it in `keys`"),
}


@pytest.mark.parametrize(("command", "says"), WRONG.values(), ids=WRONG)
async def test_a_wrong_command_is_refused(store, command, says):
    """Twice in a row, and a right command beside it is carried out (control)."""
    for number in range(2):
        refused, done = await store.transact([command, Right(rid(says, number))], Guard.ROW, deadline=soon())
        assert isinstance(refused, ValueError | TypeError)
        assert re.search(says, str(refused)), refused
        assert done.accepted


async def test_a_decide_that_raises_is_named(store):
    """The exception is the answer, with a note that names the command."""
    (answer,) = await store.transact([Raises(rid("raises"))], Guard.ROW, deadline=soon())
    assert isinstance(answer, ZeroDivisionError)
    (note,) = answer.__notes__
    assert note.startswith("raised by `decide` of right, which must return a Decision")
