"""The metrics that the documentation names exist, with their labels and values; and those of a process are right."""

import re

import pytest
from prometheus_client import CollectorRegistry

from stockade.shop.operations import process_metrics
from stockade.shop.operations.process_metrics import ProcessMetrics
from tests.deploy.exported import VOCABULARY
from tests.docs.site import ROOT

PAGES = ("api.md", "deploy.md", "monitoring.md", "payments.md", "events.md")
NAMED = r"`(stockade_[a-z_]+)(?:\{([^}`]*)\})?`"
OF_HISTOGRAMS = ("_bucket", "_count", "_sum")


def wrong(text, exported):
    """What a text names and the service does not have: metrics, labels, values. A label may stand without a value."""
    for name, selector in re.findall(NAMED, text):
        series = name if name in exported else f"{name}_count"  # a histogram is named without its suffix
        if series not in exported:
            yield name
            continue
        for matcher in filter(None, re.split(r",\s*", selector)):
            label, value = re.fullmatch(r'(\w+)(?:=~?"([^"]*)")?', matcher).groups()
            label = "exported_job" if label == "job" else label
            values = VOCABULARY.get((series, label), {value})
            known = value is None or any(re.fullmatch(value, each) for each in values)
            if label not in exported[series].labels or not known:
                yield f"{name}{{{matcher}}}"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(exported, page):
    """A reader who types a metric from a page gets figures."""
    assert list(wrong((ROOT / "docs" / page).read_text(), exported)) == []


@pytest.mark.parametrize(
    "text", ["stockade_orders_total", "stockade_waiting{place}", 'stockade_store_total{event="x"}']
)
def test_a_wrong_name_is_found(exported, text):
    """The control: a metric, a label, a value."""
    assert list(wrong(f"`{text}`", exported)) != []


def value(registry, name):
    return registry.get_sample_value(name)


def test_a_process_shows_what_it_uses(monkeypatch, tmp_path):
    """Processor time only grows, an open file counts, memory is more than a megabyte; without /proc it is unknown."""
    registry = CollectorRegistry()
    metrics = ProcessMetrics(registry)
    metrics.refresh()
    cpu_s, files = (value(registry, f"stockade_process_{name}") for name in ("cpu_seconds_total", "open_files"))
    with (tmp_path / "open").open("w"):
        metrics.refresh()
        assert value(registry, "stockade_process_open_files") == files + 1
    assert value(registry, "stockade_process_cpu_seconds_total") >= cpu_s > 0
    assert value(registry, "stockade_process_resident_bytes") > 1_000_000
    assert value(registry, "stockade_processes") == 1
    monkeypatch.setattr(process_metrics, "_SELF", tmp_path / "nothing")
    metrics.refresh()
    assert value(registry, "stockade_process_resident_bytes") != value(registry, "stockade_process_resident_bytes")
