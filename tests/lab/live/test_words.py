"""The words of the live page: both languages have all of them, and whatever a run or a race says has its own."""

import inspect
import re
from itertools import chain
from pathlib import Path

from stockade.lab.checkers import CHECKERS
from stockade.lab.checks import CHECKS
from stockade.lab.live.app import STATIC
from stockade.lab.live.choices import burst_variants
from stockade.lab.live.running.recording_leg import TWICE
from stockade.lab.live.words import summaries, translated_summaries, words
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, REJECTED
from stockade.lab.reporting.verdict import NOT_AS_PROMISED
from stockade.lab.ring.expectation import LATE, NOT_CAUGHT, NOT_EXPOSED
from stockade.lab.slow_motion import two_buyers
from stockade.lab.workloads.registry import WORKLOADS
from stockade.shop.audit import RULES


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


def rules():
    """The names of all rules that a run of the page may find broken."""
    sources = [inspect.getsource(inspect.getmodule(check)) for check in CHECKS]
    of_checks = [re.findall(r'Violation\(\s*"([\w-]+)"', source) for source in sources]
    assert [len(found) for found in of_checks] == [source.count("Violation(") for source in sources]
    return {*chain.from_iterable(of_checks), *CHECKERS, *(rule.id for rule in RULES), TWICE}


def test_every_rule_says_what_it_means():
    """In both languages, also in Korean; and no sentence is left of a rule that there is not."""
    assert len(rules()) > 50
    for language, letters in (("en", "[a-z]"), ("ko", "[가-힣]")):
        said = {name.removeprefix("rule."): text for name, text in words(language).items() if name.startswith("rule.")}
        assert said.keys() == rules()
        assert [name for name, text in said.items() if not re.search(letters, text)] == []


def test_the_scripts_say_what_there_is():
    """Every word that a script names is there, and there is one for each verdict that is neither held nor broken."""
    sources = [path.read_text() for path in STATIC.glob("*.js")]
    named = {name for source in sources for name in re.findall(r'say\("([\w.]+)"', source)}
    assert len(named) > 30
    assert named <= words("en").keys()
    verdicts = {NOT_AS_PROMISED, NOT_CAUGHT, NOT_EXPOSED, LATE}
    assert {f"odd.{each}" for each in verdicts} == {name for name in words("en") if name.startswith("odd.")}


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
