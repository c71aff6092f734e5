"""Makes deploy/grafana/stockade.json of the panels: `python -m tests.deploy.dashboard`.

The format is the JSON model of Grafana's dashboards (its classic schema, number 42: Grafana 13, read by 12 too).
"""

import json
from typing import Any

from tests.deploy import panels, panels_background
from tests.deploy.panels import Panel
from tests.docs.site import ROOT

FILE = ROOT / "deploy" / "grafana" / "stockade.json"
SCHEMA_VERSION = 42
ROWS = {**panels.ROWS, **panels_background.ROWS}
CHOSEN = 'job=~"$job", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS, HEIGHTS = 24, {"timeseries": 8, "stat": 4}
WIDTHS = {"timeseries": 8, "stat": 6}


def dashboard() -> dict[str, Any]:
    """The whole document."""
    return {
        "id": None,  # Grafana gives one at the import
        "uid": "stockade",
        "title": "stockade",
        "description": "Orders under concurrency: what is accepted, refused, repeated, waited for and left behind.",
        "tags": ["stockade"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels: a cause stands in another row than its effect
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": [_firing()]},
        "templating": {"list": _variables()},
        "links": [],
        "panels": _placed(),
    }


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    usual = {"refresh": 2, "sort": 1, "datasource": SOURCE, "type": "query"}
    job = "label_values(stockade_store_total, job)"
    instance = 'label_values(stockade_store_total{job=~"$job"}, instance)'
    return [
        {**source, "refresh": 1, "current": {}, "options": [], "regex": "", "multi": False, "includeAll": False},
        {**usual, **_query("job", "Job", job), "current": {"text": "stockade", "value": "stockade"}},
        {**usual, **_query("instance", "Service", instance), "current": {"text": ["All"], "value": ["$__all"]}},
    ]


def _query(name: str, label: str, definition: str) -> dict[str, Any]:
    query = {"query": definition, "refId": f"variable-{name}"}
    many = name == "instance"
    all_of = {"includeAll": many, "allValue": ".*", "multi": many}
    return {
        "name": name,
        "label": label,
        "definition": definition,
        "query": query,
        **all_of,
        "options": [],
        "regex": "",
    }


def _firing() -> dict[str, Any]:
    """Alerts as marks on the time axis of every panel."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Stockade.*", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "useValueForTime": False,
    }


def _placed() -> list[dict[str, Any]]:
    """Rows and panels with their ids and places: first the figures of a row, then its curves, three beside another."""
    found, y = [], 0
    for row, row_panels in ROWS.items():
        found.append({"type": "row", "title": row, "collapsed": False, "panels": [], "gridPos": _at(0, y, COLUMNS, 1)})
        y += 1
        for kind in ("stat", "timeseries"):
            x = 0
            of_kind = [panel for panel in row_panels if panel.kind == kind]
            for panel in of_kind:
                if x + WIDTHS[kind] > COLUMNS:
                    x, y = 0, y + HEIGHTS[kind]
                found.append({**_drawn(panel), "gridPos": _at(x, y, WIDTHS[kind], HEIGHTS[kind])})
                x += WIDTHS[kind]
            y += HEIGHTS[kind] if of_kind else 0
    return [{"id": number, **each} for number, each in enumerate(found, 1)]


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _drawn(panel: Panel) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": expression.replace("@", CHOSEN),
            "legendFormat": legend,
            "range": True,
            "instant": False,
        }
        for number, (legend, expression) in enumerate(panel.shows.items())
    ]
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": "yellow", "value": panel.warns}] if panel.warns is not None else []
    steps += [{"color": "red", "value": panel.alarms}] if panel.alarms is not None else []
    defaults = {
        "unit": panel.unit,
        "min": 0,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": _mappings(panel.values or {}),
        "custom": _curve(len(steps) > 1) if panel.kind == "timeseries" else {},
    }
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel.kind),
        "targets": targets,
    }


def _mappings(values: dict[str, str]) -> list[dict[str, Any]]:
    shown = {value: {"text": text, "index": number} for number, (value, text) in enumerate(values.items())}
    return [{"type": "value", "options": shown}] if shown else []


def _curve(threshold: bool) -> dict[str, Any]:
    return {
        "drawStyle": "line",
        "fillOpacity": 8,
        "lineWidth": 1,
        "showPoints": "never",
        "spanNulls": False,  # a gap is a figure that could not be had
        "thresholdsStyle": {"mode": "dashed" if threshold else "off"},
    }


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduce, "colorMode": "value", "graphMode": "area", "textMode": "auto"}
    legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
