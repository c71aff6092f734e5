"""A workload of a user's own: everything that can be wrong with it is one line with its file, and what to do."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import coupons.lab
from coupons.application import APPLICATION
from coupons.commands import GiveCoupon
from stockade.cli import app
from stockade.lab.errors import LabError
from stockade.lab.execution.processes.answers import Answer
from stockade.lab.history.operation import OK, REFUSED, UNKNOWN
from stockade.lab.model.burst import RepeatNames
from stockade.lab.recording.engine import _require_accepted
from stockade.lab.recording.recorder import Recorder
from stockade.lab.workloads.registry import find_workload
from tests.docs.blocks import blocks

NAMES = RepeatNames("7", 0, 0, 0, 1_000)
COUNT = 200
MODULE = """
from dataclasses import dataclass, replace

from coupons.commands import GiveCoupon
from coupons.lab import Stream
from stockade.core import Key
from stockade.lab import Load, Request
from stockade.shop.commands import ChargePoints


class Mine(Stream):
    name = "mine"
{body}


MINE = Mine()
"""
numbers = itertools.count()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Function: the text of a module -> what `--workload` names before the colon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text):
        name = f"own_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def used(text):
    """Make the rows and the first requests of a workload."""
    workload = find_workload(text, APPLICATION)
    workload.setup(NAMES)
    workload.rows(NAMES)
    for _ in itertools.islice(workload.requests(NAMES, 1), COUNT):
        pass


def said(text):
    """The error of a workload whose rows and first requests are made."""
    with pytest.raises(LabError) as caught:
        used(text)
    found = str(caught.value)
    assert "\n" not in found
    assert found.startswith(f"--workload {text}")
    return found


def test_one_that_is_right_is_sent_as_it_is(written):
    """The control of all that follows: the same requests as without the checks."""
    workload = find_workload(f"{written(MODULE.format(body=''))}:MINE", APPLICATION)
    plain = find_workload("coupons.lab:STREAM", APPLICATION)
    assert (workload.name, workload.load, workload.must_break) == ("mine", plain.load, True)
    assert [*workload.setup(NAMES)] == [*plain.setup(NAMES)]
    assert [*workload.rows(NAMES)] == [*plain.rows(NAMES)]
    sent = [[*itertools.islice(each.requests(NAMES, 3), COUNT)] for each in (workload, plain)]
    assert sent[0] == sent[1]


GIVE = "GiveCoupon('0' * 32, 'spring', 'ann', 1)"
WRONG = {
    "no name": ("name = ''", "has the name ''"),
    "a name with a slash": ("name = 'a/b'", "has the name 'a/b'"),
    "no summary": ("summary = None", "has the summary None"),
    "a load of another type": ("load = 8", "has the load 8: it must be a stockade.lab.Load"),
    "no clients": ("load = Load(clients=0)", "has a load of 0 clients"),
    "a share above one": ("load = Load(duplicate_share=2)", "has a duplicate_share of 2"),
    "must_break of another type": ("must_break = 'yes'", "has must_break 'yes'"),
    "setup is a value": ("setup = ()", "has setup that cannot be called"),
    "setup raises": ("def setup(self, names): return {}['x']", "setup() raised KeyError: 'x' (FILE, line 13)"),
    "setup gives nothing": ("def setup(self, names): pass", "setup() gives None: it must give a list of commands"),
    "setup gives texts": ("def setup(self, names): return ['give']", "setup() gives a value of the type str, which"),
    "setup of another application": (
        "def setup(self, names): return [ChargePoints('0' * 32, 'f', 1, 'ann', 1)]",
        "kind 'points'; this store has: campaign, coupon, that of the application coupons; --app MODULE:ATTRIBUTE",
    ),
    "rows raise": ("def rows(self, names): raise ValueError", "rows() raised ValueError (FILE, line 13)"),
    "rows are texts": ("def rows(self, names): return ['campaign:a']", "rows() gives a key that cannot be read"),
    "rows of another kind": (
        "def rows(self, names): return [Key('stock', 'a')]",
        "no resource for keys of kind 'stock'",
    ),
    "requests raise": ("def requests(self, names, seed): 1 / 0", "requests() raised ZeroDivisionError"),
    "requests raise later": (
        f"def requests(self, names, seed): yield Request({GIVE}); yield Mine.nothing",
        "requests(), at request 2 raised AttributeError",
    ),
    "requests give none": ("def requests(self, names, seed): yield from ()", "requests() gives none"),
    "requests give a number": ("def requests(self, names, seed): return 5", "requests() gives 5: it must yield"),
    "requests give commands": (
        f"def requests(self, names, seed): yield {GIVE}",
        "request 1 is a value of the type GiveCoupon: yield stockade.lab.Request(command)",
    ),
    "a command that is none": (
        "def requests(self, names, seed): yield Request('give')",
        "request 1 has a value of the type str, which cannot be sent: str is no command: it has no name",
    ),
    "a command of the shop": (
        "def requests(self, names, seed): yield Request(ChargePoints('0' * 32, 'f', 1, 'ann', 1))",
        "no resource for keys of kind 'points'",
    ),
    "a request id of another length": (
        "def requests(self, names, seed): yield Request(GiveCoupon('1', 'spring', 'ann', 1))",
        "request_id must be 32 hex digits",
    ),
    "a class that no process can import": (
        """def requests(self, names, seed):
        class Give(GiveCoupon): pass
        yield Request(Give('0' * 32, 'spring', 'ann', 1))""",
        "define its class at the top of a module",
    ),
    "deltas of a key": (
        f"def requests(self, names, seed): yield Request({GIVE}, {{{GIVE}.campaign_key: -1}})",
        "which its command does not name; its rows are campaign:spring, coupon:",
    ),
    "deltas of no number": (
        f"def requests(self, names, seed): yield Request({GIVE}, {{'campaign:spring': '1'}})",
        "has deltas {'campaign:spring': '1'}: it must be whole numbers by row",
    ),
    "the same content again": (
        f"def requests(self, names, seed): yield Request({GIVE}, reuse={GIVE})",
        "must have the request id of its command and another fingerprint",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_it(written, what):
    """The line names the file, what is wrong there, and what it must be."""
    body, part = WRONG[what]
    module = written(MODULE.format(body=f"    {body}"))
    found = said(f"{module}:MINE")
    assert f"{module}.py" in found
    assert part.replace("FILE", f"{module}.py") in found


def test_a_later_request_that_is_wrong_ends_the_stream(written):
    """The first ones are sent; the number of the wrong one is said."""
    module = written(MODULE.format(body=f"    def requests(self, names, seed): yield from [Request({GIVE}), 5]"))
    assert "request 2 is a value of the type int" in said(f"{module}:MINE")


def test_requests_that_end_are_named_with_their_file(written):
    """They must go on: the line says after how many they end."""
    module = written(MODULE.format(body=f"    def requests(self, names, seed): yield from [Request({GIVE})] * 3"))
    found = said(f"{module}:MINE")
    assert f"({module}.py): requests() ends after 3: it must go on without end" in found


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nowhere.at_all:MINE", "No module named 'nowhere'; install the project, or start in its folder"),
        ("coupons.lab:STREEM", "lab.py): there is no STREEM in it; workloads in it are: STREAM"),
        ("coupons.commands:STREAM", "there is no STREAM in it; it has no workload"),
        ("coupons.lab:Stream", "is the class Stream: name an object of it, e.g. WORKLOAD = Stream() in that file"),
        ("coupons.lab:PRESETS", "is no workload: it has no name, summary"),
        ("coupons.lab:", "must be MODULE:NAME, e.g. coupons.lab:STREAM"),
    ],
)
def test_a_name_that_means_none(text, part):
    """What is there instead, or how it is written."""
    assert part in said(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        ("import nowhere_at_all\n", "it imports nowhere_at_all, which is not installed"),
        ("value = {}['x']\n", "cannot be imported: KeyError: 'x' (MODULE.py, line 1)"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported(written, text, part):
    """What it raises, and where."""
    module = written(text)
    assert part.replace("MODULE", module) in said(f"{module}:MINE")


def record(*options):
    return CliRunner().invoke(app, ["lab", "record", "--seconds", "0.5", *options], catch_exceptions=False)


def test_without_its_application_the_line_says_which_option(written):
    """The command gives the line and exit code 2."""
    module = written(MODULE.format(body=""))
    done = record("--workload", f"{module}:MINE")
    assert done.exit_code == 2
    assert "no resource for keys of kind 'campaign'" in done.output
    assert "--app MODULE:ATTRIBUTE names the application of these commands" in done.output


def test_a_workload_of_the_shop_under_another_application():
    """Which option names one of its own."""
    done = record("--app", "coupons.application:APPLICATION")
    assert done.exit_code == 2
    assert "order-stream sends commands of the shop, which the application coupons has not" in done.output


def test_rows_that_the_application_refuses_to_make(written):
    """The command that was refused, with the code, and the file."""
    body = "    size = 0"
    module = written(MODULE.format(body=body))
    done = record("--app", "coupons.application:APPLICATION", "--workload", f"{module}:MINE")
    assert done.exit_code == 2
    assert f"({module}.py): setup(): the rows cannot be made: create_campaign was refused (INVALID_SIZE)" in done.output


def test_the_page_shows_the_example():
    """The workload that the page shows is the one of the example."""
    (shown,) = blocks("lab.md", "python")
    assert shown in Path(coupons.lab.__file__).read_text()


def test_commands_none_of_which_works(written):
    """`decide` raises: the file and the line of it, at once, and no verdict on the strategy."""
    body = "    def requests(self, names, seed):\n        yield from map(spoilt, super().requests(names, seed))"
    text = MODULE.format(body=body)
    text += """

@dataclass(frozen=True)
class Spoilt(GiveCoupon):
    def decide(self, rows):
        return rows["campaign"]


def spoilt(request):
    give = request.command
    return Request(Spoilt(give.request_id, give.campaign, give.user, give.now_ms))
"""
    module = written(text)
    done = record("--app", "coupons.application:APPLICATION", "--workload", f"{module}:MINE", "--processes", "1")
    assert done.exit_code == 2
    said = "no command was decided, each ended with an error, so correct the commands first: KeyError: 'campaign'"
    assert said in done.output
    assert f"{module}.py, line" in done.output


def test_commands_none_of_which_is_accepted(written):
    """Nothing was written, so nothing was tested: the codes and the file. One that is accepted is enough."""
    module = written(MODULE.format(body="    def setup(self, names): return []"))
    own, gave = find_workload(f"{module}:MINE", APPLICATION), GiveCoupon("0" * 32, "spring", "ann", 1)
    recorder = Recorder()

    def answered(command, *answers):
        for each in answers:
            recorder.returned(recorder.invoked(0, "service-1", command, 0), each)

    answered(None, Answer(OK))
    answered(gave, *[Answer(REFUSED, "NO_CAMPAIGN")] * 3, Answer(REFUSED, "TOO_LATE"))
    with pytest.raises(LabError) as caught:
        _require_accepted(SimpleNamespace(workload=own), recorder)
    said = "all 4 commands were refused (NO_CAMPAIGN 3, TOO_LATE 1), so nothing was written"
    assert f"--workload {module}:MINE ({module}.py): {said}" in str(caught.value)
    _require_accepted(SimpleNamespace(workload=find_workload("order-stream")), recorder)  # the lab's own is not asked
    answered(gave, *[Answer(UNKNOWN, "KeyError", unexpected="KeyError: 'ann'")] * 2)
    with pytest.raises(LabError) as caught:
        _require_accepted(SimpleNamespace(workload=own), recorder)
    said = "4 commands were refused (NO_CAMPAIGN 3, TOO_LATE 1), and 2 ended with an error (KeyError: 'ann')"
    assert f"({module}.py): {said}, so nothing was written" in str(caught.value)
    answered(gave, Answer(OK))
    _require_accepted(SimpleNamespace(workload=own), recorder)
