"""docs/deploy.md and the files of deploy/: what they name exists, and each rule for them can be broken."""

import re
import shutil
import subprocess

import pytest
import yaml

from stockade.core import Stats
from stockade.shop.config.settings import Settings, setting_fields
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.migrations import SCHEMA
from stockade.shop.operations.backlog import JOBS, OPEN_PAYMENTS, UNRESOLVED
from stockade.shop.operations.metrics import Metrics
from tests.docs.site import ROOT

DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deploy.md").read_text()
ALERTS = (DEPLOY / "alerts.yaml").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
NGINX = (DEPLOY / "nginx.conf").read_text()
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum", "")}


# -- metrics ---------------------------------------------------------------------------------------------------------


def known_metrics():
    """Name of each sample -> names of its labels."""
    found = {}
    for metric in Metrics()._own._collector_to_names:
        for suffix in SUFFIXES[metric._type]:
            found[f"{metric._name}{suffix}"] = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return found


VALUES = {
    ("stockade_store_total", "event"): set(Stats().as_dict()),
    ("stockade_commands_total", "code"): {"ACCEPTED", "REPLAYED", "QUEUED", *ERROR_CODES},
    ("stockade_waiting", "where"): {"at_work", "strategy", "connection", "gateway"},
    ("stockade_events", "state"): {"waiting", "dead"},
    ("stockade_payments_total", "outcome"): {"APPROVED", "DECLINED", "UNFULFILLABLE", "UNKNOWN"},
    ("stockade_payments_unresolved", "what"): set(UNRESOLVED),
    ("stockade_payments_oldest_seconds", "what"): set(OPEN_PAYMENTS),
    ("stockade_job_behind_seconds", "job"): set(JOBS),
    ("stockade_lock_hold_seconds_count", "outcome"): {"released", "lost", "abandoned"},
    ("stockade_request_seconds_bucket", "route"): {f"{route.method} {route.path}" for route in ROUTES},
}


def wrong_metrics(text):
    """What a text names and the service does not have: metrics, their labels, values of labels."""
    known = known_metrics()
    for name, selector in re.findall(r"\b(stockade_(?:[a-z]+_?)+[a-z])(\{[^}]*\})?", text):
        if name not in known:
            yield name
            continue
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', selector):
            allowed = VALUES.get((name, label))
            if label not in known[name] or (allowed is not None and value not in allowed):
                yield f"{name}{{{label}={value}}}"


@pytest.mark.parametrize("text", [PAGE, ALERTS], ids=["deploy.md", "alerts.yaml"])
def test_every_metric_exists(text):
    """An alert on a metric, a label or a value that nothing makes would never fire."""
    assert len(set(re.findall(r"stockade_\w+", text))) > 5
    assert list(wrong_metrics(text)) == []


@pytest.mark.parametrize(
    "text",
    ["stockade_orders_total", 'stockade_waiting{place="x"}', 'stockade_store_total{event="x"}', "stockade_commands"],
)
def test_a_metric_that_does_not_exist_is_found(text):
    """The control: a wrong name, label or value, and a counter without its suffix."""
    assert list(wrong_metrics(text))


def test_alerts_are_rules():
    """Each has an expression over our metrics or `up`, a severity and a sentence."""
    (group,) = yaml.safe_load(ALERTS)["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) > 8
    for rule in group["rules"]:
        assert re.search(r"stockade_|\bup\{", rule["expr"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


# -- personal data ----------------------------------------------------------------------------------------------------


def listed_columns(page):
    """The columns of the table of personal data, as (table, column)."""
    part = page.partition("<!-- personal -->")[2].partition("<!-- /personal -->")[0]
    for table, columns in re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", part, re.MULTILINE):
        yield from ((table, column) for column in re.findall(r"\w+", columns))


def unlisted(page, tables):
    """Columns with a user id that the page leaves out, and listed ones that do not exist."""
    listed = set(listed_columns(page))
    there = {(table.name, column.name) for table in tables for column in table.c}
    users = {each for each in there if each[1] == "user_id"}
    return (users - listed) | (listed - there)


def test_personal_data_is_listed():
    """Every column that names a user stands on the page; a new table with a user id has to be added, and erased."""
    assert len(list(listed_columns(PAGE))) > 8
    assert unlisted(PAGE, SCHEMA.tables) == set()
    assert unlisted(PAGE.replace("| `payments` |", "| `paid` |"), SCHEMA.tables)  # the control


# -- containers -------------------------------------------------------------------------------------------------------


def complaints(dockerfile):
    """What is wrong with a container file."""
    lines = [line for line in re.sub(r"\\\n", " ", dockerfile).splitlines() if line and not line.startswith("#")]
    stages = [n for n, line in enumerate(lines) if line.startswith("FROM ")]
    last = lines[stages[-1] :]
    if len(stages) < 2:
        yield "one stage"
    if any(not re.match(r"FROM \S+:[\w.-]*\d", lines[n]) for n in stages):
        yield "a base without a version"
    if not any(re.match(r"USER [1-9]\d*(:[1-9]\d*)?$", line) for line in last):
        yield "root"
    if not any(line.startswith("HEALTHCHECK") for line in last):
        yield "no health check"
    if any(line.startswith(("COPY", "ADD")) and "--from=" not in line for line in last):
        yield "files of the context in the last stage"
    if any(re.match(r"(ARG|ENV) .*(SECRET|PASSWORD|TOKEN)", line) for line in lines):
        yield "a secret"
    if not all("--require-hashes" in line for line in lines if "install" in line and "-r " in line):
        yield "packages without hashes"
    if any(line.startswith(("CMD", "ENTRYPOINT")) and "[" not in line for line in last):
        yield "a shell between the signal and the program"


BREAKS = {
    "root": ("USER 10001:10001\n", ""),
    "no health check": ("HEALTHCHECK", "LABEL"),
    "a base without a version": ("FROM python:3.13-slim-bookworm\n", "FROM python:latest\n"),
    "files of the context in the last stage": ("COPY --from=build /opt", "COPY /opt"),
    "a secret": ("EXPOSE 8000", "ENV STOCKADE_TOKEN_SECRET=x"),
    "packages without hashes": ("--require-hashes ", ""),
    "a shell between the signal and the program": ('CMD ["serve"]', "CMD serve"),
}


def test_the_container_file_keeps_its_rules():
    """Several stages, pinned bases and packages, not root, a health check, no secret, no shell; hadolint agrees."""
    assert list(complaints(DOCKERFILE)) == []
    if hadolint := shutil.which("hadolint"):
        subprocess.run([hadolint, DEPLOY / "Dockerfile"], check=True)


@pytest.mark.parametrize(("complaint", "change"), BREAKS.items(), ids=BREAKS)
def test_a_rule_of_the_container_file_can_be_broken(complaint, change):
    """The control: one change for each rule."""
    assert change[0] in DOCKERFILE
    assert complaint in list(complaints(DOCKERFILE.replace(*change)))


def test_the_container_has_nothing_to_write_and_no_rights():
    """Every container of ours has a read-only root, no capability, no new privileges, and only 127.0.0.1 is open."""
    ours = [each for name, each in COMPOSE["services"].items() if name != "postgres"]
    assert len(ours) == 2
    for each in ours:
        assert each["read_only"] is True
        assert each["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in each["security_opt"]
        assert all(port.startswith("127.0.0.1:") for port in each.get("ports", ()))
    names = {item.name for item in setting_fields()}
    settings = {name for each in ours for name in each["environment"]} | set(re.findall(r"\bSTOCKADE_\w+", DOCKERFILE))
    assert {name.removeprefix("STOCKADE_").lower() for name in settings} <= names


def test_the_image_has_what_it_copies():
    """The ignore file lets through what the container file copies, and nothing else."""
    allowed = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"]
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()
    ]
    assert sorted(allowed) == sorted(copied)
    assert all((ROOT / each).exists() for each in copied)


def docker_answers():
    """Whether there is a daemon behind the client."""
    docker = shutil.which("docker")
    return docker and subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_is_built_and_runs_read_only():
    """Where a docker daemon answers: the image builds, is small, and says its version without writing anything."""
    if not docker_answers():
        pytest.skip("no docker daemon answers")
    tag = "stockade-test"
    subprocess.run(["docker", "build", "-q", "-f", "deploy/Dockerfile", "-t", tag, "."], cwd=ROOT, check=True)
    run = ["docker", "run", "--rm", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp", tag, "--version"]
    assert "stockade" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    size = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", tag], capture_output=True, text=True, check=True
    )
    assert int(size.stdout) < 400_000_000


# -- units and proxies ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_systemd_accepts_the_units(tmp_path):
    """No unknown directive and no bad value; the program that is not installed here is replaced by one that is. The
    control: a misspelled directive is seen."""

    def said(change=lambda text: text):
        for unit in UNITS:
            text = unit.read_text().replace("/opt/stockade/bin/stockade", "/bin/true")
            (tmp_path / unit.name.replace("@", "@1")).write_text(change(text))
        verify = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
        done = subprocess.run(verify, capture_output=True, text=True, timeout=60, check=False)
        return [line for line in done.stderr.splitlines() if str(tmp_path) in line or "stockade" in line]

    assert said() == []
    assert said(lambda text: text.replace("NoNewPrivileges", "NoNewPriviledges"))


@pytest.mark.parametrize("unit", [each for each in UNITS if each.suffix == ".service"], ids=lambda each: each.name)
def test_units_are_confined(unit):
    """Not root, no capability, no new privileges, a file system that cannot be written but for its own folder."""
    text = unit.read_text()
    for line in ("User=stockade", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert f"\n{line}\n" in text
    command = re.search(r"ExecStart=/opt/stockade/bin/stockade (.*)", text)[1]
    assert "postgresql://" not in text
    assert command.split()[0] in ("serve", "worker", "audit")
    assert re.search(r"StateDirectoryMode=0700", text) or "audit" in unit.name


def seconds(pattern):
    return int(re.search(pattern, NGINX)[1])


def test_the_proxy_fits_the_defaults():
    """The proxy gives up idle connections first, waits longer than a command, and takes bodies of the same size."""
    defaults = Settings()
    assert seconds(r"keepalive_timeout (\d+)s") < defaults.keep_alive_s
    assert seconds(r"proxy_read_timeout (\d+)s") > defaults.wait_s
    assert seconds(r"client_max_body_size (\d+)k") == defaults.max_body_kib
    assert f"max_size {defaults.max_body_kib}KiB" in (DEPLOY / "Caddyfile").read_text()
    stop_s = int(re.search(r"TimeoutStopSec=(\d+)", (DEPLOY / "stockade@.service").read_text())[1])
    assert stop_s > defaults.stop_wait_s + defaults.wait_s + 10


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "//metrics", "/metrics/", "//healthz//"])
def test_what_is_for_the_inside_stays_there(name, path):
    """However the path is written that the service takes for /metrics, the proxy refuses it."""
    text = (DEPLOY / name).read_text()
    pattern = re.search(r"(?:location ~|path_regexp) (\S+)", text)[1]
    assert re.search(pattern, path)
    assert not re.search(pattern, "/v1/metrics")


def test_every_file_is_explained():
    """Each file of the folder is named on the page or by a file that the page names."""
    named = PAGE + "".join(each.read_text() for each in DEPLOY.iterdir() if f"deploy/{each.name}" in PAGE)
    for each in DEPLOY.iterdir():
        assert each.name in named or each.name == "Dockerfile.dockerignore", each.name
    assert all((ROOT / path).exists() for path in re.findall(r"`(deploy/[\w.@-]+)`", PAGE))
