"""The HTML file: complete in itself, without scripts, safe against documents, usable without its charts."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from stockade.lab.report.build import build
from stockade.lab.report.html import html
from stockade.lab.report.sections import SECTIONS
from tests.lab.report.documents import claims_document, lab_document, ring, run, source
from tests.lab.report.whole import whole

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}'&"
MOST_BYTES = 6_000_000
VOID = {"meta", "link", "br", "img", "input"}


class Tags(HTMLParser):
    """Every tag with its attributes, the text, and whether all are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note it."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        """It closes the last one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note it."""
        self.text.append(data)

    def all(self, tag):
        """The attributes of each of them."""
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def made():
    """A report of one document of each kind and a history, with its HTML."""
    return whole()


def test_it_fetches_nothing_and_runs_nothing(made):
    """No script, no address, no inline style; the policy allows its own style sheet by its hash, and nothing else."""
    page = Tags(made[1])
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") or name == "style" for name in attrs)]
    addresses = [
        value for _, attrs in page.tags for name, value in attrs.items() if name in ("href", "src", "xlink:href")
    ]
    assert all(each.startswith("#") for each in addresses)
    assert "url(" not in made[1]
    assert "@import" not in made[1]
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", made[1], re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_links_lead_somewhere_and_names_are_unique(made):
    """Those of the answer, of the sections and of the skip link."""
    page = Tags(made[1])
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {each["href"].removeprefix("#") for each in page.all("a")} <= set(ids)


def test_each_chart_has_a_text_and_its_data(made):
    """Two drawings, one for a phone, with the same text alternative, and a table; nothing rests on colour alone."""
    report, text = made
    assert len(report.figures) >= 10
    assert text.count("<figure ") == text.count("<figcaption>") == len(report.figures)
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == sum(1 if each.wide_only else 2 for each in report.figures)
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("role") == "img"
        assert len(root.get("aria-label")) > 30
    for figure in report.figures:
        assert figure.table.rows
        assert all(len(row) == len(figure.table.heads) for row in figure.table.rows)
    assert text.count("The data as a table") == len(report.figures)


def test_names_of_strangers_are_only_text(tmp_path):
    """A document that somebody else wrote adds no tag, no attribute and no template to the page."""
    values = lab_document(run("pessimistic", 30.0), run(EVIL, preset=EVIL[:40], violations=[{"rule": EVIL}]))
    values["environment"] = values["environment"] | {"os": EVIL, "date": EVIL}
    evil = ring()
    evil["cells"][2]["reason"] = evil["cells"][2]["strategy"] = EVIL
    evil["matrix"][0]["strategy"] = EVIL
    text = html(build([source(tmp_path, values), source(tmp_path, evil, "<i>.json")], title=EVIL))
    page = Tags(text)
    assert not page.open
    assert not {"script", "img", "i", "b"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "alert(1)" in "".join(page.text)
    assert "{{ 7*7 }}" in "".join(page.text)


def test_what_was_not_measured_has_its_command(tmp_path, made):
    """One line for each section that is left out; the full report leaves out what it has no document for."""
    alone = build([source(tmp_path, claims_document())])
    shown = {section.name for section in alone.sections}
    assert shown == {"claims"}
    assert len(alone.missing) == len(SECTIONS) - 1
    assert all(each.command.startswith("stockade lab") for each in alone.missing)
    assert [each.what for each in made[0].missing] == ["strategies under aimed faults", "payments through a gateway"]


def test_where_the_figures_come_from(made):
    """Date, machine, versions, seed and a command for every file."""
    rows = [dict(zip(made[0].sources.heads, row, strict=True)) for row in made[0].sources.rows]
    assert [row["file"] for row in rows] == ["0.json", "1.json", "2.json", "3.json", "4.json", "h.jsonl"]
    assert rows[0]["machine"] == "Linux, 2 cores"
    assert "postgres 15.18 (READ COMMITTED)" in rows[0]["versions"]
    assert rows[1]["command"] == "stockade lab ring --seed 7 --seconds 6"
    assert rows[1]["seed"] == "7"
    assert rows[4]["command"].startswith("stockade lab sweep --database postgres --repeats 7 --buyers 5,30,120")
    assert rows[5]["command"].startswith("stockade lab record --workload small --strategies pessimistic")


def test_a_ring_says_its_own_command(tmp_path):
    """With what was left out of it; text that is no command of the lab is not shown."""
    commands = []
    for said in ("stockade lab ring --seed 7 --databases sqlite", "rm -r ."):
        values = ring()
        values["settings"] = values["settings"] | {"command": said}
        (row,) = build([source(tmp_path, values)]).sources.rows
        commands.append(row[1])
    assert commands == ["stockade lab ring --seed 7 --databases sqlite", "stockade lab ring --seed 7 --seconds 6"]


def test_its_size(made):
    """A report of everything stays far below the bound."""
    assert len(made[1].encode()) < MOST_BYTES / 2


def test_the_faults_are_marked(made):
    """The chart over time names the fault and says from when to when."""
    figure = next(each for each in made[0].figures if each.name.startswith("throughput"))
    assert "pause at 0.0 s until 0.0 s" in figure.says
    assert "pause" in figure.table.rows[0][3]


def test_a_violation_of_a_ring_is_not_hidden(made):
    """Its row stands under the matrix, with why."""
    section = next(each for each in made[0].sections if each.name == "ring")
    failed = next(part for part in section.parts if part.title == "Recordings that failed")
    assert failed.rows[0][0] == "postgres.optimistic.database-kill.hot"
    assert failed.rows[0][3] == "real-time: <b>late</b>"


def test_a_point_that_does_not_count_is_not_drawn(made):
    """It stands in the table with the reason."""
    figure = next(each for each in made[0].figures if each.name.startswith("sweep"))
    drawn = [value for layer in figure.draw(720)["layer"] for value in layer["data"]["values"]]
    assert not [each for each in drawn if each.get("name") == "optimistic" and each.get("x") == 120]
    assert [row for row in figure.table.rows if row[6].__class__ is not str and "broke a rule" in row[6].text]
