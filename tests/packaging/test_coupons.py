"""`examples/coupons`: a project of its own, installed beside the wheel in a fresh environment, where its tests run."""

import shutil

import pytest

from tests.test_tidy import ROOT
from tests.wheel import clean_environment

SOURCE = ROOT / "examples" / "coupons"


@pytest.fixture
def project(tmp_path):
    """A copy of the example outside the checkout."""
    return shutil.copytree(SOURCE, tmp_path / "coupons", ignore=shutil.ignore_patterns("__pycache__", "*.db"))


def test_the_example_as_a_user_installs_it(wheel, environment, project, postgres_url):
    """Its own tests pass on SQLite and PostgreSQL; then the lab, the audit and migrate find it by its entry point."""
    there = environment()
    there.install(f"stockade[shop,postgres] @ {wheel.as_uri()}", f"{project}[test]")
    variables = clean_environment() | {"COUPONS_TEST_POSTGRES_URL": postgres_url}
    said = there.run("python", "-W", "error", "-m", "pytest", "-q", "--durations=5", cwd=project, env=variables)
    assert " failed" not in said
    assert "skipped" not in said
    assert "23 passed" in said
    at = ("--app", "coupons", "--database", f"sqlite:///{there.folder}/c.db")
    assert "coupons 0001" in there.run("stockade", "migrate", *at)
    assert "the rules of coupons hold" in there.run("stockade", "audit", *at)
    lab = there.run("stockade", "lab", "--app", "coupons", "--repeats", "1", "--strategies", "unprotected,sequencer")
    assert "as it must be" in lab
    assert "as promised" in lab
