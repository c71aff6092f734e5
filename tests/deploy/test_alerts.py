"""deploy/alerts.yaml: every rule is over metrics that exist, fires when it should, and is explained.

promtool, where it is there, evaluates the rules on made-up series (`alert_cases`).
"""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.deploy.alert_cases import AT, CASES
from tests.deploy.promql import complaints, parsed, uses
from tests.docs.site import ROOT

FILE = ROOT / "deploy" / "alerts.yaml"
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
TEXT = FILE.read_text()
RULES = {rule["alert"]: rule for group in yaml.safe_load(TEXT)["groups"] for rule in group["rules"]}
JOBS = {("job", "Equal", "stockade"), ("job", "Equal", "node")}
UNPACKED = ROOT / ".stockade" / "debian" / "usr" / "bin" / "promtool"  # `./stockade test` puts it there


def test_every_rule_is_over_what_is_exported(known):
    """An alert on a metric, a label or a value that nothing makes would never fire."""
    wrong = {name: found for name, rule in RULES.items() if (found := list(complaints(rule["expr"], known)))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("stockade_events_oldest_seconds", "stockade_event_oldest_seconds"),
        ('state="dead"', 'status="dead"'),
        ('event="conflicts"', 'event="conflict"'),
    ],
)
def test_a_wrong_name_is_found(known, right, wrong):
    """The control: a metric, a label, a value."""
    assert right in TEXT
    changed = yaml.safe_load(TEXT.replace(right, wrong))["groups"][0]["rules"]
    assert [each for rule in changed for each in complaints(rule["expr"], known)]


def test_every_rule_is_complete():
    """A name of its own, a severity, a summary, a description, and a link to what to do."""
    assert len(RULES) == TEXT.count("- alert:") > 20
    for name, rule in RULES.items():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/monitoring.md#{name.lower()}"


def elsewhere(expression):
    """The series that a rule reads whatever their job is: those of another shop would count."""
    return [use.name for use in uses(parsed(expression)) if not JOBS & set(use.matchers)]


def test_every_rule_looks_at_one_job():
    """Another shop in the same Prometheus neither fires a rule nor hides a share. The control: a rule without it."""
    assert {name: found for name, rule in RULES.items() if (found := elsewhere(rule["expr"]))} == {}
    assert all(elsewhere(re.sub(r'\bjob="\w+",? ?', "", rule["expr"])) for rule in RULES.values())


def routed(severity, config):
    """The receiver of an alert of this severity: that of the first route that matches, or of the root."""
    for route in config["route"]["routes"]:
        if route["matchers"] == [f'severity="{severity}"']:
            return route["receiver"]
    return config["route"]["receiver"]


def test_an_alert_reaches_a_person():
    """Prometheus sends alerts to Alertmanager, which tells of a page and of a ticket at different addresses."""
    prometheus, told = (
        yaml.safe_load((FILE.parent / name).read_text()) for name in ("prometheus.yml", "alertmanager.yml")
    )
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
    assert {job["job_name"] for job in prometheus["scrape_configs"]} == {value for _, _, value in JOBS}
    addresses = {each["name"]: each["email_configs"][0]["to"] for each in told["receivers"]}
    reached = {severity: addresses[routed(severity, told)] for severity in ("page", "ticket")}
    assert len(set(reached.values())) == 2


def explained(page):
    """The alerts that a page explains: those with a heading and a text below it."""
    return set(re.findall(r"^### (Stockade\w+)\n\n\S", page, re.MULTILINE))


def test_every_alert_is_explained():
    """The page has a heading for each alert, and none for another. The control: a heading less."""
    assert explained(PAGE) == set(RULES)
    assert explained(PAGE.replace("### StockadeDown\n", "")) != set(RULES)


def test_every_alert_has_its_cases():
    """One that fires and one that does not, over metrics that the rule reads."""
    assert list(CASES) == list(RULES)
    for name, case in CASES.items():
        read = {use.name for use in uses(parsed(RULES[name]["expr"]))}
        assert {series.partition("{")[0] for series in (*case.fires, *case.silent, *(case.fires_too or ()))} <= read


def restricted(expression, case):
    """The expression over the series of one case only, so that all cases can stand in one test."""
    names = "|".join({use.name for use in uses(parsed(expression))})
    only = f'case="{case}"'
    with_matchers = re.sub(rf"\b({names})\{{", rf"\1{{{only}, ", expression)
    return re.sub(rf"\b({names})\b(?!\{{)", rf"\1{{{only}}}", with_matchers) if names else expression


OLD = {  # forms that look right and never fire, or fire too often; each was in the file once
    "StockadeConflicts": 'rate(stockade_store_total{event="conflicts"}[5m])'
    ' > 2 * rate(stockade_store_total{event="commits"}[5m])',  # the sides differ in a label
    "StockadeSalesBehind": 'max(stockade_job_behind_seconds{job="sales"}) > 60',  # a scrape renames the label
    "StockadeDefect": 'increase(stockade_commands_total{code="INTERNAL_ERROR"}[10m]) > 0',  # it begins with 1
    "StockadeWorkersBehind": "sum(stockade_log_behind) > 10000",  # every process repeats the figure
}
KINDS = ("fires", "silent", "fires_too")
FORMS = {  # what is evaluated under each case: the rule, and controls
    "real": {name: rule["expr"] for name, rule in RULES.items()},
    "renamed": {name: re.sub(r"\b(stockade|node|up)(?=[_{])", "x", rule["expr"]) for name, rule in RULES.items()},
    "always": dict.fromkeys(RULES, "vector(1)"),
    "old": OLD,
}


def unit_test():
    """The rules and the test that promtool reads: the series of every case, and one question, which alerts fire."""
    rules, series = [], []
    for name, case in CASES.items():
        for kind in KINDS if case.fires_too else KINDS[:2]:
            own, samples = f"{name}-{kind}", getattr(case, kind)
            for each, values in samples.items():
                series.append({"series": f'{each.removesuffix("}")}, case="{own}"}}', "values": values})
            for form, expressions in FORMS.items():
                if name in expressions:
                    rule = {"alert": f"{name}_{kind}_{form}", "expr": restricted(expressions[name], own)}
                    rules.append({**rule, "for": RULES[name].get("for", "0s")})
    asked = {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": f"{AT}m"}  # expected: none
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]
    return rules, {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}


@pytest.fixture(scope="module")
def firing(request, tmp_path_factory):
    """(kind, form) -> the alerts that fire, as promtool finds."""
    promtool = os.environ.get("STOCKADE_PROMTOOL") or shutil.which("promtool") or (UNPACKED.exists() and str(UNPACKED))
    if not promtool:
        required = "all" in request.config.getoption("--require").split(",")
        (pytest.fail if required else pytest.skip)("left out: promtool (of the Debian package prometheus)")
    folder, (rules, test) = tmp_path_factory.mktemp("alerts"), unit_test()
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    command = [promtool, "test", "rules", folder / "test.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = {}
    for name, kind, form in re.findall(
        rf'alertname=\\?"(\w+?)_({"|".join(KINDS)})_([a-z]+)\\?"', done.stdout + done.stderr
    ):
        found.setdefault((kind, form), set()).add(name)
    assert done.returncode == 1, done.stderr  # the answer is in what it says about the expectation
    return found


def test_each_alert_fires_when_it_should(firing):
    """On the series that it is for, and not on near ones. The controls: under other names none fires but the alerts
    on nothing, and rules without a condition are not silent."""
    assert firing["fires", "real"] == set(RULES)
    assert firing["fires_too", "real"] == {name for name, case in CASES.items() if case.fires_too}
    assert firing.get(("silent", "real"), set()) == set()
    assert firing["fires", "renamed"] == {"StockadeAbsent", "StockadeAuditAbsent"}
    assert firing["silent", "always"] == set(RULES)


def test_what_was_wrong_is_seen(firing):
    """The control: the old form of four rules fails its cases."""
    assert set(OLD) - firing.get(("fires", "old"), set()) == {
        "StockadeConflicts",
        "StockadeSalesBehind",
        "StockadeDefect",
    }
    assert firing["silent", "old"] == {"StockadeWorkersBehind"}
