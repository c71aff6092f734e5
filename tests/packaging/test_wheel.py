"""What is in the wheel, and what its metadata say."""

import re
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import stockade
from tests.test_tidy import ROOT, tracked


@pytest.fixture(scope="module")
def files(wheel):
    """The files of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel):
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        return HeaderParser().parsestr(archive.read(name).decode())


def test_holds_every_file_of_src(files):
    """The wheel has each file under src, among them the migrations, the scripts of Redis and the type marker."""
    ours = {name for name in files if not name.split("/")[0].endswith(".dist-info")}
    expected = {path.removeprefix("src/") for path in tracked("src")}
    assert expected <= ours
    assert {PurePosixPath(name).parts[0] for name in ours} == {"stockade"}
    assert {"stockade/py.typed", "stockade/locks/redis/scripts/mutex_acquire.lua"} <= ours
    migrations = [name for name in ours if re.search(r"migrations/(versions/)?v\d{4}_", name)]
    assert {PurePosixPath(name).parts[1] for name in migrations} == {"store", "shop"}


def test_holds_the_licence_and_no_tests(files):
    """The licence is in the wheel; tests, benchmarks and documents are not."""
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in files)
    assert not [name for name in files if PurePosixPath(name).parts[0] in ("tests", "benchmarks", "docs", "examples")]


def test_metadata(metadata):
    """An index shows the README, the licence, the authors and the keywords."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "The stockade developers"
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"locks", "idempotency"} <= set(metadata["Keywords"].split(","))
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text().strip()
    assert "Home-page" not in metadata


def test_a_bare_install_needs_nothing(metadata):
    """Every requirement belongs to an extra."""
    required = metadata.get_all("Requires-Dist")
    assert required
    assert not [line for line in required if "extra ==" not in line]


def test_one_version(wheel, metadata):
    """The module, the metadata and the name of the wheel say the same version."""
    assert metadata["Version"] == stockade.__version__ == version("stockade")
    assert wheel.name == f"stockade-{stockade.__version__}-py3-none-any.whl"


def test_installs_with_plain_pip(wheel, environment):
    """`pip install "stockade[redis] @ file://…"` works, and the locks need no package of the shop."""
    there = environment(pip=True)
    there.run("python", "-m", "pip", "install", "-q", f"stockade[redis] @ {wheel.as_uri()}")
    seeded = {"pip", "setuptools", "wheel", "packaging", "async-timeout"}
    assert {name.lower() for name in there.packages()} - seeded == {"stockade", "redis", "hiredis"}
    there.run("python", "-W", "error", "-c", "from stockade.locks.aio import RedisLocks; from stockade.locks import *")


def test_the_page_has_the_bounds_of_the_project():
    """The table of oldest versions in docs/start/install.md is what pyproject.toml says, and so are the extras."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "start" / "install.md").read_text()
    bounds = {}
    for line in {line for lines in extras.values() for line in lines if not line.startswith("stockade[")}:
        found = Requirement(line)
        (least,) = [each.version for each in found.specifier if each.operator == ">="]
        assert len(found.specifier) == 1, f"{line}: no upper bound without a reason"
        bounds.setdefault(found.name, set()).add(least)
    table = page.partition("<!-- bounds -->")[2].partition("<!-- /bounds -->")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.strip().splitlines()[2:]]
    written = {row[0]: set(re.findall(r"[\d.]+", re.sub(r"Python [\d.]+", "", row[1]))) for row in rows}
    assert written == bounds
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == set(extras)


def test_the_changelog_has_versions():
    """Sections are versions in order, the newest first; the first is this version, released or not."""
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    versions = [Version(found[0]) for head in heads if (found := re.match(r"\d+\.\d+\.\d+", head))]
    assert all(
        head == "Unreleased" or re.match(r"\d+\.\d+\.\d+ \((\d{4}-\d\d-\d\d|not released yet)\)$", head)
        for head in heads
    )
    assert versions == sorted(versions, reverse=True)
    assert versions[:1] in ([], [Version(stockade.__version__)])
