"""docs/deploy.md and the files of deploy/: what they name exists, and each rule for them can be broken. The alerts and
the dashboard have tests of their own (tests/deploy)."""

import re
import shutil
import subprocess

import pytest
import yaml

from stockade.shop.config.settings import Settings, setting_fields
from stockade.shop.migrations import SCHEMA
from tests.docs.site import ROOT

DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deploy.md").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
NGINX = (DEPLOY / "nginx.conf").read_text()
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])


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
    """Each file of the folder is named on a page or by a file that a page names."""
    files = [each for each in DEPLOY.rglob("*") if each.is_file()]
    pages = PAGE + (ROOT / "docs" / "monitoring.md").read_text()
    named = pages + "".join(each.read_text() for each in files if f"deploy/{each.relative_to(DEPLOY)}" in pages)
    for each in files:
        assert each.name in named or each.name == "Dockerfile.dockerignore", each.name
    assert all((ROOT / path).exists() for path in re.findall(r"`(deploy/[\w./@-]+)`", pages))
