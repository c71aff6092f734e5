"""What a run of a claim does where a control does not fail as it must, or where the run itself fails; no servers."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.claims import find
from stockade.lab.claims.answers import answer_all
from stockade.lab.claims.runs import attempts, expiry, quorum
from stockade.lab.claims.runs.expiry import Waited
from stockade.lab.errors import LabError

WORKS, FAILS = find("fairness,worst-case")
SQLITE = SimpleNamespace(target=SimpleNamespace(name="sqlite"), name=lambda what: what)


async def fails(_tools):
    """A run that meets an error."""
    raise LabError("the server\nis away")


FAILING = replace(FAILS, run=fails, databases=("sqlite",))


async def test_an_error_of_one_claim_ends_no_other():
    """It is an answer of its own, with its reason; the next one is measured."""
    failed, measured = [answer async for answer in answer_all([FAILING, WORKS], SQLITE)]
    assert (failed.measured, failed.failed, failed.left_out) == (None, True, "its run failed: the server is away")
    assert measured.kept


async def test_a_claim_that_says_nothing_here_has_not_failed():
    """The control: left out is no error."""
    (left_out,) = [answer async for answer in answer_all([FAILS], SQLITE)]
    assert (left_out.measured, left_out.failed) == (None, False)


def test_the_command_line_keeps_what_was_measured_beside_an_error(tmp_path, monkeypatch):
    """Exit code 2, with the document of the others."""
    monkeypatch.setattr("stockade.lab.claims.find", lambda _names: (FAILING, WORKS))
    target = tmp_path / "claims.json"
    result = CliRunner().invoke(app, ["lab", "claims", "--database", "sqlite", "--json", str(target)])
    assert result.exit_code == 2
    assert result.output.endswith("error: could not be measured, the reasons are above: worst-case\n")
    assert [each["as_expected"] for each in json.loads(target.read_text())["claims"]] == [None, True]


def raced(share, transactions):
    """Races of which a share succeeds without a retry, and all with so many attempts each."""

    async def race(_tools, _strategy, options, *, buyers, **_shared):
        if options is attempts.WITHOUT:
            return SimpleNamespace(accepted=round(share[buyers] * buyers))
        stats = SimpleNamespace(transactions=transactions[buyers] * buyers)
        return SimpleNamespace(accepted=buyers, stats=stats, seconds=0.01)

    return race


@pytest.mark.parametrize(
    ("share", "transactions", "expected"),
    [
        ({1: 1.0, 4: 0.5}, {1: 1, 4: 2}, True),
        ({1: 0.0, 4: 0.5}, {1: 1, 4: 2}, False),
        ({1: 1.0, 4: 0.5}, {1: 2, 4: 2}, False),
        ({1: 1.0, 4: 1.0}, {1: 1, 4: 2}, False),
    ],
    ids=["as claimed", "one buyer fails", "one buyer repeats", "nobody fails"],
)
async def test_one_buyer_is_the_control_of_attempts(monkeypatch, share, transactions, expected):
    """Alone everybody succeeds at once; else the crowd proves nothing."""
    monkeypatch.setattr(attempts, "BUYERS", (1, 4))
    monkeypatch.setattr(attempts, "race", raced(share, transactions))
    assert (await attempts.run(None)).as_expected is expected


@pytest.mark.parametrize(
    ("endless", "ending", "expected"),
    [
        (Waited(None, -0.001), Waited(2.99, 3.0), True),
        (Waited(1.0, -0.001), Waited(2.99, 3.0), False),
        (Waited(None, -0.001), Waited(None, 3.0), False),
        (Waited(None, -0.001), Waited(0.3, 3.0), False),
        (Waited(None, -0.001), Waited(0.1, -0.002), False),
    ],
    ids=["as claimed", "free without an expiry", "never free", "free before its expiry", "was never held"],
)
async def test_a_lock_is_held_until_its_expiry(monkeypatch, endless, ending, expected):
    """What frees it earlier was not the expiry."""

    async def wait(_tools, lifetime_ms):
        return ending if lifetime_ms else endless

    monkeypatch.setattr(expiry, "_wait", wait)
    assert (await expiry.run(None)).as_expected is expected


class Lenient:
    """A resource that takes every token."""

    def install(self, lease):
        """Nothing is refused."""


async def test_a_late_write_that_is_accepted_is_said_to_be(monkeypatch):
    """Two held the lock and the resource refused nothing: the line says so, and the run shows nothing."""
    late = quorum._late_write(Lenient(), None, None)

    async def second_holder(_tools, _servers, case):
        return (False, quorum.NOT_LATE) if case == quorum.CASES[0] else (True, late)

    async def paused(*_):
        return True, False

    monkeypatch.setattr(quorum, "_second_holder", second_holder)
    monkeypatch.setattr(quorum, "_paused_servers", paused)
    server = SimpleNamespace(end=lambda: None)
    measured = await quorum.run(SimpleNamespace(private_redis=lambda: server))
    assert [line.rpartition("; ")[2] for line in measured.lines[:2]] == [
        "the late write was not late",
        "the late write was ACCEPTED",
    ]
    assert not measured.as_expected
