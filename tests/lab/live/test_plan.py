"""What a page may ask for: everything else is refused in one line that says what to do."""

import re
from pathlib import Path

import pytest

from stockade.lab.errors import LabError
from stockade.lab.live.choices import Choices, burst_variants
from stockade.lab.live.plan import BOUNDS, read_plan
from stockade.lab.live.words import language_of, summaries, translated_summaries, words
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, REJECTED
from stockade.lab.slow_motion import two_buyers
from stockade.lab.workloads.registry import WORKLOADS

CHOICES = Choices(
    bursts={"reference": ""},
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


def test_both_languages_have_the_same_words():
    """No word is missing or empty, and both fill in the same values."""
    english, korean = words("en"), words("ko")
    assert english.keys() == korean.keys()
    for name, text in english.items():
        assert text
        assert korean[name]
        assert sorted(set(_values(text))) == sorted(set(_values(korean[name]))), name


def test_workloads_are_described_in_the_language_of_the_page():
    """What is translated exists, and what is not translated is shown in English."""
    assert translated_summaries("ko").keys() <= {*burst_variants(), *WORKLOADS}
    english = {"reference": "20 in stock", "of one's own": "new"}
    assert summaries("en", english) == english
    korean = summaries("ko", english)
    assert korean["reference"].startswith("재고 20개")
    assert korean["of one's own"] == "new"


def test_every_name_of_slow_motion_has_words():
    """Whatever a step, a buyer or an end is called there, the page can say it."""
    folder = Path(two_buyers.__file__).parent
    source = (folder / "story.py").read_text() + (folder / "two_buyers.py").read_text()
    names = {f"story.{name}" for name in re.findall(r'"did": "(\w+)"', source)}
    names |= {f"story.{status}" for status in (ACCEPTED, REJECTED, FAILED)}
    names |= {f"state.{status}" for status in (ACCEPTED, REJECTED, FAILED, "unanswered", "loaded", "saved")}
    names |= {f"slow.end_{kind}" for kind in re.findall(r'"kind": "(\w+)"', source)}
    names |= {f"why.{control}" for control in two_buyers.CONTROLS}
    assert len(names) > 15
    assert names <= words("en").keys()


def _values(text):
    return [part.partition("}")[0] for part in text.split("{")[1:]]


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        *(("ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("en-US,ko;q=0.9", "en"), ("fr", "en"), ("", "en"), ("ko;q=x", "en")),
        *(("ko;q=0", "en"), ("ko;q=nan", "en"), ("ko;q=inf", "en"), ("fr, ko ; q=0.2", "ko")),
    ],
)
def test_the_language_of_the_browser(accepted, language):
    """The page speaks what the browser wants most of the two."""
    assert language_of(accepted) == language
