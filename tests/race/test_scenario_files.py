"""Scenario files: TOML, Python, the environment; what is wrong is one line that names the place."""

import sys

import msgspec
import pytest

from stockade.race import Fire, Matching, RaceError, Scenario, Server, SetUp, Target, load, override
from stockade.race.hiding import hide, hide_in_error
from tests.docs.blocks import blocks
from tests.docs.site import ROOT
from tests.race.services import scenario

RIGHT = """
name = "right"
database = "sqlite:///shop.db"

[target]
url = "http://127.0.0.1:8000"

[[setup]]
request = { path = "/stock" }
save = { sku = "/id" }

[[requests]]
path = "/orders/{sku}"

[answers]
order = "/id"

[reads]
sold = { sql = "SELECT count(*) FROM orders" }

[invariants]
"no oversell" = "sold <= 20"
"""
WRONG = {  # (text, instead) -> what the line says
    "TOML": (
        ("[target]", "[target"),
        "is no TOML: Expected ']' at the end of a table declaration (at line 5, column 8): [target",
    ),
    "TOML without quotes": (
        ('"right"', "right"),
        "is no TOML: Invalid value (at line 2, column 8): name = right (texts",
    ),
    "an unknown section": (("[answers]", "[answrs]"), "the scenario: unknown field answrs; there are name, about"),
    "an unknown field": (("url =", "adress ="), "target: unknown field adress; there are url, headers, ca_file"),
    "an unknown field of a request": (
        ('{ path = "/stock" }', '{ path = "/stock", methd = "PUT" }'),
        "setup[0].request: unknown field methd; there are path, method, headers, json, body",
    ),
    "a missing field": (('path = "/orders/{sku}"', 'method = "PUT"'), "requests[0]: the field path is missing"),
    "another type": (('"/orders/{sku}"', "7"), "requests[0].path: expected a text, got a whole number"),
    "no pointer": (
        ('order = "/id"', 'order = "data.id"'),
        "answers.order: 'data.id' is no JSON pointer: write /data/id",
    ),
    "a key elsewhere": (
        ("[target]", '[target]\nheaders = { Key = "{key}" }'),
        "target.headers: {key} is of each buyer",
    ),
    "a placeholder": (("{sku}", "{skq}"), "requests[0]: nothing gives {skq} a value; there are"),
    "SQL that writes": (("SELECT count(*) FROM", "DELETE FROM"), "reads.sold.sql: must be a SELECT"),
    "SQL without a database": (('database = "sqlite:///shop.db"', ""), "reads.sold.sql: needs the URL of the database"),
    "an unknown name": (("sold <= 20", "stok <= 20"), "invariants.no oversell: nothing has the name stok; there are"),
    "no comparison": (("sold <= 20", "sold"), "invariants.no oversell: 'sold' compares nothing"),
    "a statement": (("sold <= 20", "import os"), "invariants.no oversell: 'import os' is no comparison"),
    "a call": (("sold <= 20", "eval(sold) < 1"), "invariants.no oversell: eval(sold): must be one of sum, count"),
    "an attribute": (("sold <= 20", "sold.real < 1"), "invariants.no oversell: sold.real: an invariant has names"),
    "a function in TOML": (("[answers]", '[checks]\na = "b"\n[answers]'), "checks: is a function, which only"),
    "a variable that is not set": (
        ("http://127.0.0.1:8000", "${NOWHERE}"),
        "target.url: the environment has no NOWHERE: set it, or write ${NOWHERE:-default}",
    ),
    "a name that is taken": (("order = ", "sent = "), "sent: a name has letters, digits and _, and is given once"),
}


def test_the_right_file_is_read(tmp_path):
    """The file that the wrong ones are made of (control)."""
    path = tmp_path / "right.toml"
    path.write_text(RIGHT)
    assert load(path).scenario.invariants == {"no oversell": "sold <= 20"}


@pytest.mark.parametrize(("change", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(tmp_path, change, says):
    """The line names the file, the place and the reason."""
    path = tmp_path / "wrong.toml"
    assert change[0] in RIGHT
    path.write_text(RIGHT.replace(*change))
    with pytest.raises(RaceError) as refused:
        load(path, {})
    assert str(refused.value).startswith(f"{path}: {says}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "driver", "extra"), [("postgresql://h/d", "asyncpg", "postgres"), ("mariadb://h/d", "asyncmy", "mysql")]
)
def test_a_driver_that_is_not_installed(tmp_path, monkeypatch, url, driver, extra):
    """It is said before anything is sent, with what to do; the controls: with the driver the file is read, and without
    it where no read has SQL."""
    path = tmp_path / "reads.toml"
    path.write_text(RIGHT.replace("sqlite:///shop.db", url))
    assert load(path).scenario.database == url
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(RaceError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: database: {driver} is not installed: pip install 'stockade[{extra}]'"
    path.write_text(path.read_text().replace('sql = "SELECT count(*) FROM orders"', 'request = { path = "/sold" }'))
    assert load(path).scenario.database == url


def test_a_source_that_is_not_there(tmp_path):
    """No file, another kind of file, an unknown name; the line has the names that there are."""
    for source in (tmp_path / "none.toml", "none.py"):
        with pytest.raises(RaceError, match="there is no such file"):
            load(source)
    with pytest.raises(RaceError, match=r"none: must be a .toml or .py file, or one of .*stockade-last-units"):
        load("none")


def test_values_of_the_environment(tmp_path):
    """`${NAME}` is filled, and its value is a secret, also where the file has a default; the default is none."""
    path = tmp_path / "secret.toml"
    header = 'headers = { Authorization = "Bearer ${TOKEN}", Shop = "${SHOP:-lamps}" }'
    path.write_text(RIGHT.replace("[target]", f"[target]\n{header}"))
    loaded = load(path, {"TOKEN": "s3cret", "SHOP": "chairs"})
    assert loaded.scenario.target.headers == {"Authorization": "Bearer s3cret", "Shop": "chairs"}
    assert loaded.secrets == {"s3cret": "${TOKEN}", "chairs": "${SHOP}"}
    assert "s3cret" not in repr(loaded.secrets.values())
    usual = load(path, {"TOKEN": "s3"})
    assert usual.scenario.target.headers["Shop"] == "lamps"
    assert usual.secrets == {"s3": "${TOKEN}"}


def test_a_variable_of_the_name_is_shown(tmp_path):
    """Its value stands in reports, not `${FORM}`; if it is a secret elsewhere, the name is that of the file."""
    path = tmp_path / "forms.toml"
    header = 'headers = { Authorization = "Bearer ${TOKEN}", Form = "${FORM:-broken}" }'
    named = RIGHT.replace('"right"', '"oversell-${FORM:-broken}"')
    path.write_text(named.replace("[target]", f"[target]\n{header}"))
    for form in ("fixed", "broken"):
        loaded = load(path, {"TOKEN": "s3cret", "FORM": form})
        assert (loaded.scenario.name, loaded.secrets) == (f"oversell-{form}", {"s3cret": "${TOKEN}"})
    same = load(path, {"TOKEN": "fixed", "FORM": "fixed"})
    assert (same.scenario.name, same.secrets) == ("forms", {"fixed": "${TOKEN}"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bearer s3cret-x s3cretary", "Bearer ${T}-x ${T}ary"),
        ("user a7, page a77, /a7/", "user ${U}, page a77, /${U}/"),
        ('{"q": "say \\"hi\\""}', '{"q": "${Q}"}'),
        ("/?q=say+%22hi%22&r=say%20%22hi%22", "/?q=${Q}&r=${Q}"),
    ],
)
def test_a_secret_is_hidden_in_each_form(text, shown):
    """As it is, as JSON and URLs have it; one of few characters only where it is a word."""
    assert hide(text, {"s3cret": "${T}", "a7": "${U}", 'say "hi"': "${Q}"}) == shown


@pytest.mark.parametrize("change", [('"/orders/{sku}"', '"${T}"\nmethd = "X"'), ("sold <= 20", "${T} <= 20")])
def test_an_error_of_a_file_has_no_secret(tmp_path, change):
    """The line has the name of the variable, where a file is loaded and where options replace something."""
    path = tmp_path / "wrong.toml"
    path.write_text(RIGHT.replace(*change))
    with pytest.raises(RaceError) as refused:
        load(path, {"T": "s3cret"})
    assert "s3cret" not in str(refused.value)


def test_an_error_of_an_option_has_no_secret(tmp_path):
    """What a scenario lacks without its server is said without values of the environment."""
    path = tmp_path / "server.toml"
    server = '[server]\ncommand = ["shop"]\n[[requests]]\npath = "/${T}"\n[[setup]]\ncommand = ["${T}", "{port}"]\n'
    path.write_text('name = "x"\n' + server + '[invariants]\n"${T}" = "successes = 1"\n')
    loaded = load(path, {"T": "s3cret"})
    with pytest.raises(RaceError, match=r"setup\[0\]: nothing gives {port} a value") as refused:
        override(loaded, target="http://127.0.0.1:1")
    assert "s3cret" not in str(refused.value)


def test_the_server_has_its_placeholders_only_where_there_is_one():
    """`{port}` and `{folder}` have no value without a server, and `{round}` none before the first round."""
    server = Server(command=["shop", "{port}", "{folder}"])
    load(scenario("", target=Target(), server=server, setup=[SetUp(command=["true", "{folder}", "{round}"])]))
    wrong = [
        scenario("http://127.0.0.1:1", setup=[SetUp(command=["true", "{folder}"])]),
        scenario("http://127.0.0.1:{port}"),
        scenario("", target=Target(), server=Server(command=["shop", "{round}"])),
    ]
    for each in wrong:
        with pytest.raises(RaceError, match=r"nothing gives {\w+} a value"):
            load(each)


def test_a_scenario_of_python(tmp_path):
    """The file's SCENARIO is checked like one of TOML; a file that does not run is one line."""
    path = tmp_path / "race_it.py"
    head = "from stockade.race import *\nSCENARIO = Scenario(name='x', target=Target(url='http://127.0.0.1:1'), "
    path.write_text(head + "requests=[Request(path='/')], checks={'ok': lambda values: values['successes'] < 2})")
    assert callable(load(path).scenario.checks["ok"])
    path.write_text(head + "invariants={'ok': 'nothing < 2'}, requests=[Request(path='/')])")
    with pytest.raises(RaceError, match="nothing has the name nothing"):
        load(path)
    path.write_text("SCENARIO = 7")
    with pytest.raises(RaceError, match="must have SCENARIO = "):
        load(path)
    path.write_text("1 / 0")
    with pytest.raises(RaceError, match="does not run: ZeroDivisionError"):
        load(path)


def test_what_options_replace_is_checked_again():
    """Fewer buyers than keys are refused; another target takes the place of the server."""
    loaded = load(scenario("http://127.0.0.1:1", race={"buyers": 9, "keys": 5}))
    assert override(loaded, target="http://127.0.0.1:2", rounds=3).scenario.target.url.endswith(":2")
    with pytest.raises(RaceError, match=r"race.keys: must be at most race.buyers, 4"):
        override(loaded, buyers=4)


def test_the_scenarios_of_the_page(tmp_path):
    """The TOML and the Python of docs/race.md are scenarios."""
    [toml], python = blocks("race.md", "toml"), blocks("race.md", "python")[1]
    for name, text in (("page.toml", toml), ("page.py", python)):
        (tmp_path / name).write_text(text)
        assert load(tmp_path / name, {"TOKEN": "secret"}).scenario.race.buyers == 60


def test_the_page_has_every_field():
    """The reference of docs/race.md names each field of a TOML scenario."""
    page = (ROOT / "docs" / "race.md").read_text()
    for section in msgspec.structs.fields(Scenario):
        if section.name in ("prepare", "request_of", "checks"):
            continue
        kind = {"target": Target, "server": Server, "race": Fire, "success": Matching}.get(section.name)
        names = [f"{section.name}.{each.name}" for each in msgspec.structs.fields(kind)] if kind else [section.name]
        assert all(f"`{name}`" in page for name in names), names


def test_an_error_says_that_a_value_is_hidden():
    """Whoever set the variable sees why another text stands there; where nothing is hidden, nothing is said."""
    secrets = {"nope": "${STRATEGY}"}
    said = hide_in_error("strategy = 'nope': must be one of a, b", secrets)
    assert said.startswith("strategy = '${STRATEGY}': must be one of a, b (${STRATEGY}: hidden here")
    assert hide_in_error(said, secrets) == said
    assert hide_in_error("${STRATEGY} is missing", secrets) == "${STRATEGY} is missing"
