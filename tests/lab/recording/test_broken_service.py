"""A recording of a service that is broken on purpose is not green: each defect is noticed by its rule."""

import pytest

from stockade.lab.checkers import judge
from stockade.lab.model.contender import Contender
from stockade.lab.recording import final_phase, sending
from stockade.lab.recording.engine import record
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.workloads.registry import find_workload
from tests.lab.recording import broken_service


@pytest.fixture
def violations(monkeypatch, tmp_path):
    """Function: kind of service -> what is found in a short recording of it, as (rule, detail)."""

    async def violations(kind, workload):
        monkeypatch.setenv(broken_service.KIND, kind)
        monkeypatch.setenv(broken_service.ENDED, str(tmp_path / "ended"))
        contender = Contender.parse("pessimistic")
        plan = RecordingPlan(find_workload(workload), contender, seconds=0.5, wait_s=0.5, app=broken_service.PATH)
        return [(each.rule, each.detail) for each in judge(await record(plan))]

    return violations


async def test_a_service_that_lies_ends_and_refuses(violations):
    """It says that nothing happened, loses a task with its error, ends, and refuses what it could carry out."""
    found = await violations("unreliable", "baskets")
    parts = {
        "exactly-once": "which says that nothing happened, but its decision was recorded",
        "right-refusal": "was refused (OUT_OF_STOCK), but stock:",
        "unexpected": "ended by itself (exit code 3), its last output: ",
    }
    for rule, part in parts.items():
        assert [detail for name, detail in found if name == rule and part in detail], found
    printed = [detail for name, detail in found if name == "unexpected" and "printed" in detail]
    assert printed
    assert all("nobody waits for this" in each for each in printed)


async def test_a_service_that_does_not_serve(violations, monkeypatch):
    """It decides few requests and never answers some: nothing it does breaks a row, and it is no service."""
    monkeypatch.setattr(sending, "ANSWER_GRACE_S", 0.2)
    monkeypatch.setattr(sending, "TRIES", 2)
    monkeypatch.setattr(final_phase, "DECIDE_WAIT_S", 0.1)
    found = await violations("unavailable", "order-stream")
    details = [detail for rule, detail in found if rule == "served"]
    for part in ("tries that nothing disturbed were decided", "was never answered", "still undecided", "never decided"):
        assert [detail for detail in details if part in detail], found
