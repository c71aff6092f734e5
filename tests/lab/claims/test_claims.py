"""The reports' claims: each run's controls fail as they must; a control that does not is noticed."""

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema_rs
import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.devservers import Servers
from stockade.lab.claims import CLAIMS, find
from stockade.lab.claims.answers import answer_all
from stockade.lab.claims.claim import FALSE, HOLDS, HOLDS_ONLY_WHEN, NOT_SHOWN, Measured, Tools
from stockade.lab.claims.runs import attempts, expiry, fairness, lock_wait, short_lease
from stockade.lab.errors import LabError
from stockade.lab.targets.target_database import open_target_database
from stockade.locks.aio import MemoryLocks
from stockade.shop.migrations import SCHEMA
from tests.databases import CREATED
from tests.devservers.pool import memory_folder

PAGE = Path(__file__).parents[3] / "docs" / "lab.md"
WITHOUT_REDIS = ("worst-case", "one-of-many", "timestamp", "nowait", "hold-time")
WITH_REDIS = ("wake-up", "short-lease", "foreign-release")


async def answers(url, names, redis=()):
    """What these claims came to, by name, on a database of the run's server."""
    await CREATED.migrate(url, SCHEMA)
    with Servers(memory_folder()) as servers:
        async with open_target_database(url, 20) as target:
            tools = Tools(target, servers, redis)
            return {answer.claim.name: answer async for answer in answer_all(find(",".join(names)), tools)}


def check(found, names):
    """Everything was measured, and every control failed as it must."""
    assert set(found) == set(names)
    for name, answer in found.items():
        assert answer.measured is not None, (name, answer.left_out)
        assert answer.kept, (name, answer.measured.lines)
        assert answer.measured.verdict in (HOLDS, FALSE, HOLDS_ONLY_WHEN)


def documented(file):
    """The document, which must fit the schema that the page gives."""
    schema = PAGE.read_text().partition("### Version 3")[2].partition("```json")[2].partition("```")[0]
    document = json.loads(file.read_text())
    jsonschema_rs.validate(json.loads(schema), document)
    return document


@pytest.mark.postgres
async def test_claims_about_rows(postgres_database, monkeypatch):
    """Attempts, stamps, one of many, not waiting, scopes; the sweep and the time-out are made short."""
    monkeypatch.setattr(attempts, "BUYERS", (1, 8))
    monkeypatch.setattr(attempts, "TURNS", 1)
    monkeypatch.setattr(lock_wait, "WAIT_S", 0.5)
    names = (*WITHOUT_REDIS, "attempts", "lock-wait")
    found = await answers(postgres_database, names)
    check(found, names)
    assert found["worst-case"].measured.figures["attempts"] == 55
    lost = found["timestamp"].measured.figures["lost"]
    assert lost[0] > 0
    assert lost[1:] == [0, 0, 0]


@pytest.mark.postgres
@pytest.mark.redis
async def test_claims_about_locks_in_redis(postgres_database, redis_url, monkeypatch):
    """Spin and pub/sub, leases, releases, a killed holder."""
    monkeypatch.setattr(expiry, "LIFETIME_MS", 500)
    monkeypatch.setattr(expiry, "BOUND_S", 1.0)
    monkeypatch.setattr(short_lease, "LEASE_S", 0.4)
    monkeypatch.setattr(short_lease, "JOB_S", 0.7)
    names = (*WITH_REDIS, "expiry")
    found = await answers(postgres_database, names, (redis_url,))
    check(found, names)
    assert found["short-lease"].measured.verdict == FALSE


@pytest.mark.postgres
@pytest.mark.redis
async def test_a_quorum_has_two_holders_under_each_fault_and_one_without(postgres_database):
    """Pause, clock, restart; the fencing token refuses the late one; two of three servers away: no grant."""
    found = await answers(postgres_database, ("quorum",))
    check(found, ("quorum",))
    assert found["quorum"].measured.figures["no fault (control)"] == {"two_holders": False, "refused": False}


async def test_a_control_that_does_not_fail_is_noticed(tmp_path, monkeypatch):
    """With a fair lock in the place of the control, the measurement is not to be trusted."""
    url = f"sqlite:///{tmp_path / 'claims.sqlite'}"
    assert (await answers(url, ("fairness",)))["fairness"].kept

    locks = MemoryLocks()
    fair = SimpleNamespace(hold=lambda: locks.lock("control").hold(timeout=30))
    monkeypatch.setattr(fairness, "_Barging", lambda: fair)
    assert not (await answers(url, ("fairness",)))["fairness"].kept


def test_the_command_line_prints_claim_measure_and_verdict_and_writes_the_document(tmp_path):
    """What needs row locks is left out on SQLite, by name; an unknown name is one line."""
    target = tmp_path / "claims.json"
    given = ["lab", "claims", "fairness,worst-case", "--database", "sqlite", "--json", str(target)]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert "verdict: holds" in result.output
    assert "left out" in result.output
    document = documented(target)
    assert [each["name"] for each in document["claims"]] == ["fairness", "worst-case"]
    assert [each["as_expected"] for each in document["claims"]] == [True, None]
    assert "1 of 2 claims measured, 1 left out: worst-case" in result.output
    nothing = CliRunner().invoke(app, ["lab", "claims", "worst-case", "--database", "sqlite"])
    assert nothing.exit_code == 2
    assert nothing.output.endswith("0 of 1 claim measured, 1 left out: worst-case\nerror: nothing was measured\n")
    wrong = CliRunner().invoke(app, ["lab", "claims", "nothing"])
    assert wrong.exit_code == 2
    assert "unknown claim 'nothing'" in wrong.output
    with pytest.raises(LabError, match="there are"):
        find("nothing")
    assert find("") == CLAIMS


def _changed(folder, document, member):
    """The file of the same document without its member: the control of the schema."""
    file = folder / "changed.json"
    file.write_text(json.dumps({name: value for name, value in document.items() if name != member}))
    return file


def test_a_claim_whose_control_did_not_fail_is_not_shown():
    """The verdict of the figures is withheld: nothing follows from them."""
    found = Measured(("measured",), HOLDS, "the reason", as_expected=False)
    assert (found.verdict, "control" in found.why) == (NOT_SHOWN, True)
    shown = Measured(("measured",), HOLDS, "the reason", as_expected=True)
    assert (shown.verdict, shown.why) == (HOLDS, "the reason")


def test_the_bench_on_the_command_line(tmp_path):
    """`lab deadlock` on SQLite: why there is none, as a table and as a document."""
    target = tmp_path / "deadlock.json"
    result = CliRunner().invoke(app, ["lab", "deadlock", "--database", "sqlite", "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "every cure held; 1 thing left out" in result.output
    document = documented(target)
    with pytest.raises(jsonschema_rs.ValidationError):
        documented(_changed(tmp_path, document, "deadlock"))
    assert document["deadlock"]["database"] == "sqlite"
    assert all(each["held"] for each in document["deadlock"]["experiments"])
