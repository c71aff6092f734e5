"""What people and machines get: exit codes, JSON, JUnit, one-line errors, and no secret anywhere."""

import asyncio
import json
from xml.etree import ElementTree

import pytest

from stockade.race import Fire, Request, SetUp, load, run
from stockade.race.reports.json_document import json_text
from stockade.race.reports.junit import junit_text
from stockade.race.reports.text import findings
from stockade.testing import race
from tests.cli.service import here
from tests.race.services import http, scenario, service

FILE = """
name = "codes"
[target]
url = "{url}"
headers = {{ Token = "${{TOKEN}}" }}
[[requests]]
path = "/orders?who=${{TOKEN}}"
[race]
buyers = 7
rounds = 2
[invariants]
"few" = "successes <= {most}"
"none fails" = "errors = 0"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Function: URL and most successes -> a scenario file with a secret."""
    monkeypatch.setenv("TOKEN", "s3cret-token")

    def write(url, most):
        path = tmp_path / "codes.toml"
        path.write_text(FILE.format(url=url, most=most))
        return path

    return write


async def test_a_violation(file, tmp_path):
    """Exit code 1; the proof is in the text, in JSON and in JUnit, and the secret in none of them."""
    async with service(lambda head, body: http(201, head.split()[1].encode() + b"\x00")) as shop:
        paths = tmp_path / "r.json", tmp_path / "r.xml"
        done = await here("race", file(shop.url, 3), "--json", paths[0], "--junit", paths[1])
    texts = [done.stdout, *(path.read_text() for path in paths)]
    assert done.returncode == 1
    assert "VIOLATED  few: successes <= 3  (7 <= 3)" in done.stdout
    assert all("/orders?who=${TOKEN}" in text and "s3cret" not in text for text in texts)
    document = json.loads(texts[1])
    assert (document["schema"], document["passed"], len(document["rounds"])) == ("stockade.race/1", False, 1)
    [violation] = document["rounds"][0]["violations"]
    assert (violation["found"], violation["answers_in_all"], violation["answers"][0]["status"]) == ("7 <= 3", 7, 201)
    assert 0 < document["rounds"][0]["spread_ms"] < 1000
    suite = ElementTree.fromstring(texts[2])
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["few"]


async def test_a_secret_is_hidden_in_an_error_too(file):
    """A race without a verdict ends with a line, and with an error of JUnit, which have the name of the variable."""
    async with service(lambda head, body: http(403)) as shop:
        path = file(shop.url, 3)
        done = await here("race", path, "--junit", path.with_suffix(".xml"))
    assert done.returncode == 2
    error = ElementTree.fromstring(path.with_suffix(".xml").read_text()).find("testcase/error")
    assert "POST /orders?who=${TOKEN} gave 403" in error.get("message")
    assert "POST /orders?who=${TOKEN} gave 403" in done.stderr


@pytest.mark.parametrize("reason", ["no scenario", "a wrong field", "an option", "nothing succeeds", "no service"])
async def test_without_a_verdict_the_reports_say_so(reason, file, tmp_path):
    """A report of an earlier race is replaced in every case: nobody takes its pass for that of this one."""
    paths = tmp_path / "r.json", tmp_path / "r.xml"
    for path in paths:
        path.write_text("passed yesterday")
    async with service(lambda head, body: http(403)) as shop:
        scenario_file = file("http://127.0.0.1:1" if reason == "no service" else shop.url, 3)
        if reason == "a wrong field":
            scenario_file.write_text(scenario_file.read_text().replace("rounds = 2", "round = 2"))
        words = {"no scenario": ["none.toml"], "an option": [scenario_file, "--target", "ftp://x"]}
        done = await here("race", *words.get(reason, [scenario_file]), "--json", paths[0], "--junit", paths[1])
    assert done.returncode == 2
    document = json.loads(paths[0].read_text())
    assert (document["schema"], document["passed"]) == ("stockade.race/1", None)
    assert done.stderr.endswith(f"error: {document['error']}\n")
    suite = ElementTree.fromstring(paths[1].read_text())
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")
    assert suite.find("testcase/error").get("message") == document["error"]


@pytest.mark.parametrize("reason", ["a wrong field", "nothing succeeds", "a verdict"])
async def test_one_scenario_has_one_suite(reason, file, tmp_path):
    """With a verdict or without one, JUnit and JSON name the scenario, not its file."""
    paths = tmp_path / "r.json", tmp_path / "r.xml"
    async with service(lambda head, body: http(201 if reason == "a verdict" else 403)) as shop:
        path = file(shop.url, 7).rename(tmp_path / "b4.toml")
        if reason == "a wrong field":
            path.write_text(path.read_text().replace("rounds = 2", "round = 2"))
        await here("race", path, "--json", paths[0], "--junit", paths[1])
    suite = ElementTree.fromstring(paths[1].read_text())
    names = {case.get("classname") for case in suite}
    assert (suite.get("name"), names) == ("race codes", {"race.codes"})
    assert json.loads(paths[0].read_text())["scenario"] == "codes"


async def test_a_python_file_has_the_name_of_its_scenario(tmp_path):
    """It is known as soon as the file was run."""
    path = tmp_path / "b4.py"
    path.write_text(
        "from stockade.race import Request, Scenario, Target\n"
        "SCENARIO = Scenario(name='codes', target=Target(url='http://127.0.0.1:1'), requests=[Request(path='/')],\n"
        "    invariants={'all': 'successes = sent'})\n"
    )
    for refused in ((), ("--buyers", "5000")):
        done = await here("race", path, "--junit", tmp_path / "r.xml", *refused)
        assert done.returncode == 2
        assert ElementTree.fromstring((tmp_path / "r.xml").read_text()).get("name") == "race codes"


async def test_answers_show_their_key_where_buyers_share_one():
    """That of buyer 0 too, whose key has the same number; where nobody shares one, none is shown."""
    async with service() as shop:
        for keys, shown in ((2, "buyer 0, key 0: POST"), (0, "buyer 0: POST"), (5, "buyer 0: POST")):
            race_of = scenario(shop.url, race={"keys": keys}, invariants={"few": "successes < 5"})
            result = await run(load(race_of))
            texts = "\n".join(findings(result)), junit_text(result, {})
            assert all(shown in text for text in texts)


async def test_a_race_that_is_killed_leaves_no_report_of_an_earlier_one(file, tmp_path):
    """While it runs, its reports say that it has not ended."""
    seen, report = [], tmp_path / "r.xml"
    report.write_text("passed yesterday")
    async with service(lambda head, body: seen.append(report.read_text()) or http(201)) as shop:
        done = await here("race", file(shop.url, 7), "--rounds", 1, "--junit", report)
    assert done.returncode == 0
    assert all('errors="1"' in text and "the race has not ended" in text for text in seen)
    assert 'errors="0"' in report.read_text()


async def test_a_token_that_the_set_up_saved_is_hidden(file, tmp_path):
    """A saved variable that stands in a header is a secret, in the scenario's headers and in those of a function."""
    answer = http(200, b'{"token": "t0ken-of-ann", "user": "7"}')
    async with service(lambda head, body: answer if "login" in head else http(201, head.encode())) as shop:
        static = Request(path="/orders?t={token}", headers={"Authorization": "Bearer {token}", "User": "{user}"})
        made = {"request_of": lambda buyer: Request(path=f"/o?t={buyer['token']}", headers={"A": buyer["token"]})}
        for parts in ({"requests": [static]}, {**made, "requests": []}):
            log_in = SetUp(request=Request(path="/login"), save={"token": "/token", "user": "/user"})
            loaded = load(scenario(shop.url, setup=[log_in], invariants={"no": "successes = 7"}, **parts))
            result = await run(loaded)
            texts = [json_text(result, loaded.secrets), junit_text(result, loaded.secrets)]
            assert all("t={token}" in text and "t0ken" not in text for text in texts)
            assert "7" not in loaded.secrets


async def test_no_violation(file):
    """Exit code 0, and a line for each round; `--json -` is standard output alone."""
    async with service() as shop:
        done = await here("race", file(shop.url, 7), "--rounds", 3, "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["passed"]
    assert done.stderr.count("\nround ") == 3
    assert "ok: 2 invariants held in 3 rounds" in done.stderr


WRONG = {
    "nothing": ((), "error: which scenario?"),
    "no such file": (("none.toml",), "error: none.toml: there is no such file"),
    "a folder": (("stockade-last-units", "--junit", "/"), "error: --junit /: is a folder, must be a file"),
    "buyers": (("stockade-last-units", "--buyers", "3", "--target", "ftp://x"), "error: 'ftp://x': must be a URL like"),
}


@pytest.mark.parametrize(("words", "says"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_run_is_exit_code_2(words, says):
    """One line on standard error, and no verdict."""
    done = await here("race", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


async def test_the_list():
    """`--list` has every scenario of the package with what it races."""
    done = await here("race", "--list")
    assert done.returncode == 0
    assert done.stdout.count("stockade-") == 4


async def test_the_helper_for_tests():
    """It returns the rounds, and raises the proof; inside an event loop it says what to do."""
    async with service() as shop:
        right = scenario(shop.url)
        assert len((await asyncio.to_thread(race, right)).rounds) == 1
        wrong = scenario(shop.url, invariants={"few": "successes < 5"})
        with pytest.raises(
            AssertionError, match=r"few: successes < 5  \(5 < 5\)\n  answer +buyer 0: POST /orders -> 201"
        ):
            await asyncio.to_thread(race, wrong)
        with pytest.raises(AssertionError) as caught:
            await asyncio.to_thread(race, wrong)
        frames = [each.name for each in caught.traceback]
        hidden = [each.name for each in caught.traceback if each.ishidden(caught)]
        assert (frames[-1], hidden) == ("race", ["race"])  # pytest shows no frame of it above the proof
        with pytest.raises(RuntimeError, match=r"asyncio\.to_thread"):
            race(right)


def test_a_race_has_bounds():
    """What a scenario does not say is bounded."""
    assert (Fire().buyers, Fire().rounds, Fire().timeout_s) == (50, 10, 10.0)
