"""What a page may ask for: everything else is refused in one line that says what to do."""

import pytest

from stockade.lab.errors import LabError
from stockade.lab.live.choices import Choices
from stockade.lab.live.plan import BOUNDS, read_plan

CHOICES = Choices(
    bursts={"reference": "", "peak": ""},
    figures={"peak": {"buyers": 500, "stock": 100, "rounds": 5}},
    workloads={"order-stream": ""},
    controls={"unprotected": "", "sequencer": "", "redlock": "no redis-server", "kafka": ""},
    databases={"sqlite": "", "postgres": "no postgres"},
    faults={"process-kill": "", "clock-ahead": "libfaketime is not installed"},
)
BURST = {"kind": "burst", "workload": "reference", "controls": ["unprotected", "sequencer"]}
RECORDING = {"kind": "recording", "workload": "order-stream", "controls": ["sequencer"], "fault": "process-kill"}


def test_a_plan_is_read():
    """What a page sends becomes a plan; what it leaves out has a default."""
    plan = read_plan({**BURST, "buyers": 7}, CHOICES)
    assert (plan.controls, plan.buyers, plan.stock, plan.database) == (("unprotected", "sequencer"), 7, 20, "sqlite")
    assert read_plan({**RECORDING, "seconds": 1.5}, CHOICES).seconds == 1.5


def test_a_preset_has_its_own_figures():
    """Where a page leaves them out, and each that it leaves out; a recording has none of them."""
    peak = read_plan({**BURST, "workload": "peak"}, CHOICES)
    assert (peak.buyers, peak.stock, peak.rounds) == (500, 100, 5)
    fewer = read_plan({**BURST, "workload": "peak", "buyers": 7}, CHOICES)
    assert (fewer.buyers, fewer.stock, fewer.rounds) == (7, 100, 5)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([], "object of JSON"),
        ({**BURST, "shell": "rm"}, "unknown: shell"),
        ({**BURST, "kind": "other"}, "kind must be burst or recording"),
        ({**BURST, "workload": "order-stream"}, "workload must be one of: reference"),
        ({**BURST, "controls": []}, "controls must be a list of 1 to 12 names"),
        ({**BURST, "controls": [1]}, "controls must be a list"),
        ({**BURST, "controls": ["sequencer", "sequencer"]}, "named twice"),
        ({**BURST, "controls": ["nothing"]}, "unknown control 'nothing'"),
        ({**BURST, "controls": ["redlock"]}, "redlock: no redis-server"),
        ({**BURST, "controls": ["kafka"]}, "goes on for some seconds"),
        ({**BURST, "database": "postgres"}, "postgres: no postgres"),
        ({**BURST, "database": "postgresql://elsewhere/db"}, "database must be one of"),
        ({**BURST, "buyers": True}, "buyers must be a whole number"),
        ({**BURST, "buyers": 2.5}, "buyers must be a whole number"),
        ({**RECORDING, "fault": "clock-ahead"}, "libfaketime"),
        ({**RECORDING, "seconds": "5"}, "seconds must be a number"),
    ],
)
def test_what_is_refused(sent, says):
    """Unknown names, what this machine has not, and what is no number."""
    with pytest.raises(LabError, match=says):
        read_plan(sent, CHOICES)


@pytest.mark.parametrize("name", BOUNDS)
def test_numbers_have_bounds(name):
    """The ends are allowed, one more is not."""
    low, high = BOUNDS[name]
    for value in (low, high):
        assert getattr(read_plan({**RECORDING, name: value}, CHOICES), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(LabError, match=f"{name} must be"):
            read_plan({**RECORDING, name: value}, CHOICES)
