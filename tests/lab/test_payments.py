"""The payment presets: ours charges once whatever happens, and the schemes of the reports break where they must."""

from io import StringIO

import pytest
from rich.console import Console

from stockade.core import Stats
from stockade.devservers.gateway import GatewayClient
from stockade.lab.aimed_faults import faults
from stockade.lab.checks.payments import check
from stockade.lab.errors import LabError
from stockade.lab.execution.order_senders import SenderConfig, open_sender
from stockade.lab.model.contender import Contender, payment_contenders
from stockade.lab.model.payment import PaymentConfig, PaymentFigures, PaymentMeter, PaymentSetup
from stockade.lab.model.repeat_result import FAILED, REJECTED, Response
from stockade.lab.presets import find
from stockade.lab.reporting.checked_repeat import CheckedRepeat
from stockade.lab.reporting.summary import summarise
from stockade.lab.reporting.table import LiveTable
from stockade.lab.reporting.verdict import RunCounts, judge
from stockade.lab.runs.fault_runner import choose_for_fault
from stockade.lab.runs.payment_repeats import PaymentRepeats
from stockade.lab.runs.plan import choose
from stockade.lab.runs.repeats import create_rows, make_workloads
from stockade.lab.schemes import SCHEMES
from stockade.lab.targets.gateway_server import open_gateway
from stockade.lab.targets.redis_servers import RedisServers
from stockade.lab.targets.target_database import open_target_database
from tests.lab.test_summary import GOOD, LABELS

CONTROLS = ("version-with-key", "version-no-key", "lock-over-call")
ALL = ",".join(("pessimistic", *CONTROLS))
ONCE = (1.0, "")  # one approval for each order, and no rule was broken
RIGHT = PaymentFigures(2, {"a": 1, "b": 1}, {"a": 1, "b": 1}, held=0, waits_s=(0.001,), wall_s=0.5)


def found(document):
    """(preset, strategy) -> approvals for each payment, and the first rule that was broken."""
    return {
        (run["preset"], run["strategy"]): (
            run["payments"]["approvals_per_payment"],
            run["violations"][0]["rule"] if run["violations"] else "",
        )
        for run in document["runs"]
    }


def test_one_approval_and_the_controls(lab):
    """Taps at once and later, lost replies: one approval for each order, recorded; controls break where they must."""
    code, document, output = lab("--preset", "payment-once,payment-lost-reply", "--repeats", "1", "--strategies", ALL)
    assert code == 0, output
    assert document["schema"] == "stockade.lab/3"
    once, again, gone = "payment-once", "payment-lost-reply:again", "payment-lost-reply:gone"
    runs = found(document)
    assert runs.pop((once, "version-no-key"))[0] > 1
    right = [(preset, "pessimistic") for preset in (once, again, gone)]
    right += [(once, "version-with-key"), (once, "lock-over-call"), (again, "version-with-key")]
    assert runs == {
        **dict.fromkeys(right, ONCE),
        (again, "version-no-key"): (2.0, "one-approval"),
        (again, "lock-over-call"): (2.0, "one-approval"),
        **{(gone, name): (1.0, "charged-not-recorded") for name in CONTROLS},
    }


def test_a_slow_gateway_holds_no_connection(lab):
    """Ours and the optimistic schemes wait without a connection; the row lock over the call is seen to hold one."""
    options = ("--preset", "payment-slow-gateway", "--buyers", "8", "--repeats", "1", "--strategies", ALL)
    code, document, output = lab(*options)
    held = {run["strategy"]: run["payments"]["connections_held"] for run in document["runs"]}
    assert code == 0, output
    assert held == {"pessimistic": 0, "version-with-key": 0, "version-no-key": 0, "lock-over-call": 1}


@pytest.mark.postgres
def test_killed_after_the_approval(lab, postgres_database):
    """The gateway has approved, its process dies, the buyers ask the other one: ours is still one approval."""
    options = ("--preset", "payment-once", "--fault", "crash", "--strategies", "conditional,lock-over-call")
    code, document, output = lab("--database", postgres_database, *options)
    assert code == 0, output
    assert found(document) == {
        ("payment-once", "conditional"): ONCE,
        ("payment-once", "lock-over-call"): (2.0, "one-approval"),
    }


@pytest.mark.postgres
def test_connections_of_a_pool(lab, postgres_database):
    """The row lock over the call holds the whole pool of 3, ours none of it."""
    options = ("--preset", "payment-slow-gateway", "--buyers", "12", "--repeats", "1", "--pool", "3")
    code, document, output = lab("--database", postgres_database, *options, "--strategies", "sequencer,lock-over-call")
    assert code == 0, output
    assert [run["payments"]["connections_held"] for run in document["runs"]] == [0, 3]


async def test_a_request_that_was_lost_is_asked_for_again():
    """Claims whose requests never reached the gateway, as of a killed process, are paid by the reconciler; before that
    the figures and the verdict say what became of them."""
    variant = find("payment-slow-gateway")[0][1]
    (workload,) = make_workloads(variant, 2, 0, 1)
    async with open_target_database("sqlite", 1) as target, open_gateway(wanted=True) as gateway:
        await create_rows(target, [workload])
        repeats, config = PaymentRepeats(variant.payment, gateway, target), PaymentConfig(gateway.url)
        async with open_sender(SenderConfig(target.url, "pessimistic", payment=config)) as sender:
            GatewayClient(gateway.url).behave(faults={"lost-request": 1.0})
            responses = (await sender.send(workload.orders)).responses
            before = await repeats.check(workload, responses, PaymentMeter(), timed=True)
            await repeats.reconcile(sender)
            after = await repeats.check(workload, responses, PaymentMeter(), timed=True)
    assert (after.accepted, after.payments.unpaid) == (2, {})
    counts = RunCounts.of([before], processes=2, deadlocks=0, must_fail_unprotected=False)
    reason = judge(Contender.parse("pessimistic").guarantees, counts).reason
    assert reason.endswith("not paid: 2 PAYING, attempt UNKNOWN no reply: RemoteProtocolError")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"approvals": {"a": 2, "b": 1}}, "one-approval"),
        ({"recorded": {"a": 1}}, "charged-not-recorded"),
        ({"approvals": {"a": 1, "b": 0}}, "recorded-not-charged"),
        ({"held": 1}, "connection-held"),
    ],
)
def test_the_check_finds_each_defect(changes, rule):
    """The right figures pass, each defect is named; a refusal of another tap is right, any other is not."""
    setup = PaymentSetup({"": ()}, no_connection_held=True)
    tap = Response("r", REJECTED, "PAYMENT_IN_PROGRESS", "", "", 0, 1)
    assert not list(check(RIGHT, setup, [tap]))
    values = {name: getattr(RIGHT, name) for name in ("payments", "approvals", "recorded", "held", "waits_s", "wall_s")}
    assert rule in {each.rule for each in check(PaymentFigures(**{**values, **changes}), setup, [tap])}
    broken = [tap._replace(code="OUT_OF_STOCK"), tap._replace(status=FAILED, unexpected_error="ValueError: x")]
    assert [each.rule for each in check(RIGHT, setup, broken)] == ["unexpected", "unexpected"]


def test_who_takes_part_where_buyers_pay():
    """The schemes in the payment presets only; what cannot fail there, and workers of a log, not there."""
    variant, usual = find("payment-once")[0][1], find("reference")[0][1]
    names = [each.name for each in payment_contenders()]
    assert names[-len(SCHEMES) :] == list(SCHEMES) == list(CONTROLS)
    assert {"unprotected", "kafka"}.isdisjoint(names)
    wanted = [Contender.parse(name) for name in ("unprotected", "lock-over-call", "pessimistic")]
    choice = choose(variant, wanted, "sqlite", RedisServers())
    assert [each.name for each in choice.run] == ["lock-over-call", "pessimistic"]
    assert dict(choice.left_out)["unprotected"].startswith("cannot fail here")
    assert "payment-*" in dict(choose(usual, wanted, "sqlite", RedisServers()).left_out)["lock-over-call"]
    assert not choose_for_fault(variant, faults()["failover"], None, "sqlite", "").run
    with pytest.raises(LabError, match="lock-over-call"):
        Contender.parse("lock-over-cal")


@pytest.mark.parametrize("width", [60, 80, 140])
async def test_the_table_fits(width):
    """Each row is one line in a terminal of any width, with the approvals and the verdict."""
    out = StringIO()
    repeat = CheckedRepeat(2, 0, 0, 0, 2, (), 500.0, (1.0,), timed=True, payments=RIGHT)
    async with open_target_database("sqlite", 1) as target:
        table = LiveTable(Console(file=out, width=width), 1, len("version-with-key"))
        table.variant("payment-once", find("payment-once")[0][1], target)
        table.row(summarise(LABELS, [repeat], Stats(), GOOD))
    row = out.getvalue().splitlines()[-1].split()
    assert "1.00" in row
    assert row[-2:] == ["as", "promised"]
