"""deploy/grafana/stockade.json: made of the panels, complete, and every expression is over what a service exports."""

import itertools
import json

import pytest

from tests.deploy.dashboard import COLUMNS, FILE, ROWS, SCHEMA_VERSION, text
from tests.deploy.exported import VOCABULARY
from tests.deploy.promql import complaints, parsed, selected, uses
from tests.docs.site import ROOT

DASHBOARD = json.loads(FILE.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
NOT_SHOWN = {  # series that no panel needs, by the end of their names
    "_created": "when the process made the series: prometheus_client adds it; a restart is seen in the processor time",
    "stockade_lock_wait_seconds_sum": "the mean of a wait says less than its percentiles, which are shown",
    "stockade_lock_hold_seconds_sum": "as that of the waits",
}


def test_the_file_is_what_the_panels_say():
    """The generated file is current."""
    assert FILE.read_text() == text(), "python -m tests.deploy.dashboard"


def test_every_expression_is_over_what_is_exported(known):
    """Every metric, label and value exists; rates are of counters, quantiles of buckets, shared figures not added."""
    assert len(EXPRESSIONS) > 50
    assert {each: found for each in EXPRESSIONS if (found := list(complaints(each, known)))} == {}


def test_every_panel_looks_at_one_job():
    """At the chosen one, or at `node` for the audit: another shop's figures are no part of a panel."""
    jobs = {("job", "Re", "any"), ("job", "Equal", "node")}  # `parsed` fills `$job` in
    found = {use.name for each in EXPRESSIONS for use in uses(parsed(each)) if not jobs & set(use.matchers)}
    assert found == set()


WRONG = {
    "no such metric": "sum(rate(stockade_orders_total[5m]))",
    "a counter without its suffix": "sum(rate(stockade_commands[5m]))",
    "a bucket without its suffix": "histogram_quantile(0.9, sum by (le) (rate(stockade_request_seconds[5m])))",
    "no such label": 'max(stockade_events{place="dead"})',
    "no such value": 'max(stockade_events{state="buried"})',
    "no such value of several": 'sum(rate(stockade_store_total{event=~"commits|rollbacks"}[5m]))',
    "a pattern that nothing matches": 'sum(rate(stockade_request_seconds_count{status=~"6.."}[5m]))',
    "a value left out that never is": 'sum(rate(stockade_commands_total{code!="DONE"}[5m]))',
    "a rate of a gauge": "sum(rate(stockade_waiting[5m]))",
    "a counter as it is": "sum(stockade_commands_total)",
    "a counter under a function of gauges": "deriv(stockade_commands_total[5m])",
    "buckets without a quantile": "sum by (le) (rate(stockade_request_seconds_bucket[5m]))",
    "a quantile of no buckets": "histogram_quantile(0.9, sum by (le) (rate(stockade_request_seconds_count[5m])))",
    "a quantile without le": "histogram_quantile(0.9, sum by (route) (rate(stockade_request_seconds_bucket[5m])))",
    "grouped by no label": "sum by (sku) (rate(stockade_commands_total[5m]))",
    "a shared figure that is added": "sum by (partition) (stockade_log_behind)",
    "a shared figure of each process": "stockade_log_behind > 5",
    "two sides that never match": 'stockade_waiting{where="strategy"} > stockade_waiting{where="connection"}',
    "no expression": "sum(rate(stockade_commands_total[5m])",
    "a vector where a window is needed": "rate(stockade_commands_total)",
}


@pytest.mark.parametrize("expression", WRONG.values(), ids=WRONG)
def test_a_wrong_expression_is_found(known, expression):
    """The control: one expression for each thing that can be wrong."""
    assert len(list(complaints(expression, known))) >= 1


def unseen(expressions, exported):
    """Series that no expression reads, and (series, label, value) that every expression leaves out. Of a histogram its
    number counts: percentiles may be of one route only."""
    read = [use for each in expressions for use in uses(parsed(each))]
    names = {use.name for use in read}
    yield from (name for name in exported if name not in names)
    for (name, label), values in VOCABULARY.items():
        if name.endswith(("_bucket", "_sum")):
            continue
        seen = set()
        for use in read:
            if use.name == name:
                kept = values
                for matcher in use.matchers:
                    kept = selected(matcher, frozenset(kept)) if matcher[0] == label else kept
                seen |= kept
        yield from ((name, label, value) for value in values - seen if name in names)


def listed(found):
    """What `NOT_SHOWN` names."""
    return {each for each in found if isinstance(each, str) and each.endswith(tuple(NOT_SHOWN))}


def test_everything_that_is_exported_is_shown(exported):
    """Or stands in the list with its reason. The control: without one panel something is missing."""
    found = set(unseen(EXPRESSIONS, exported))
    assert found - listed(found) == set()
    assert all(any(name.endswith(end) for name in listed(found)) for end in NOT_SHOWN)
    fewer = [each for each in EXPRESSIONS if "stockade_events_oldest" not in each]
    assert "stockade_events_oldest_seconds" in set(unseen(fewer, exported))
    fewer = [each for each in EXPRESSIONS if 'where="gateway"' not in each]
    assert ("stockade_waiting", "where", "gateway") in set(unseen(fewer, exported))


def overlapping(panels):
    """Pairs of panels that lie over each other, and panels outside the columns."""
    for panel in panels:
        at = panel["gridPos"]
        if at["x"] < 0 or at["x"] + at["w"] > COLUMNS:
            yield panel["title"]
    for one, other in itertools.combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        if not (beside or apart):
            yield one["title"], other["title"]


def test_the_dashboard_can_be_imported():
    """No id of another Grafana, the data source is chosen at the import, ids and places are unambiguous."""
    assert (DASHBOARD["id"], DASHBOARD["schemaVersion"]) == (None, SCHEMA_VERSION)
    assert "__inputs" not in DASHBOARD
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert set(variables) == {"datasource", "job", "instance"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert list(overlapping(DASHBOARD["panels"])) == []
    moved = [{**panel, "gridPos": {**panel["gridPos"], "y": 0}} for panel in DASHBOARD["panels"]]
    assert list(overlapping(moved))  # the control


def test_every_panel_explains_itself():
    """A title of its own, a description, a unit, a legend, thresholds, and the data source that was chosen."""
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    for panel in PANELS:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith(".")
        assert defaults["unit"]
        assert defaults["thresholds"]["steps"][0] == {"color": "green", "value": None}
        assert all(target["legendFormat"] for target in panel["targets"])
        assert {panel["datasource"]["uid"], *(each["datasource"]["uid"] for each in panel["targets"])} == {
            "${datasource}"
        }


def test_the_page_shows_the_rows():
    """docs/monitoring.md has a line for each row, in the order of the dashboard."""
    places = [PAGE.find(f"\n| {row} |") for row in ROWS]
    assert -1 not in places
    assert places == sorted(places)
