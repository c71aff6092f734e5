"""What each extra needs, what happens without it, and that no part needs more than it says."""

import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stockade.core.extras import EXTRAS, advice, require
from tests.test_tidy import ROOT
from tests.wheel import clean_environment


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """An environment with the wheel and nothing else."""
    from tests.wheel import Environment

    made = Environment(tmp_path_factory.mktemp("bare") / "environment").make()
    made.install(wheel)
    return made


def fails(environment, program, *words):
    """Run a program that must fail; its exit code and what it says on standard error."""
    import subprocess

    done = subprocess.run(
        [environment.bin / program, *words], env=clean_environment(), text=True, capture_output=True, check=False
    )
    return done.returncode, done.stderr


def test_the_table_is_that_of_the_project():
    """Each package of an extra has its module in `core.extras`, with the extra that names it."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {}
    for extra, lines in extras.items():
        for line in lines:
            if not line.startswith("stockade["):
                listed.setdefault(canonicalize_name(Requirement(line).name), set()).add(extra)
    installed = packages_distributions()
    named = {canonicalize_name(name): EXTRAS[module] for module in EXTRAS for name in installed.get(module, ())}
    assert not {name: extra for name, extra in listed.items() if named.get(name) not in extra}
    assert set(EXTRAS.values()) == set(extras) - {"all"}


@pytest.mark.parametrize("module", ["stockade.locks", "stockade.locks.aio", "stockade.locks.testing", "stockade.core"])
def test_parts_that_need_nothing(bare, module):
    """The locks and the core are imported in a bare environment."""
    bare.run("python", "-W", "error", "-c", f"import {module}")


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import stockade.store", "store"),
        ("import stockade.strategies.registry", "store"),
        ("import stockade.shop.bootstrap", "shop"),
        ("import stockade.kafka.consumer", "store"),
        ("import stockade.locks.compat.redis_py", "redis"),
        ("from stockade.locks import RedisLocks; RedisLocks('redis://localhost')", "redis"),
        ("from stockade.locks import PostgresLocks; PostgresLocks('postgresql://localhost/x')", "postgres"),
        ("from stockade.locks import MySQLLocks; MySQLLocks('mysql://localhost/x')", "mysql"),
    ],
)
def test_an_import_says_what_to_install(bare, code, extra):
    """The error of a missing package ends with the command that installs it."""
    _, said = fails(bare, "python", "-c", code)
    assert said.strip().splitlines()[-1].endswith(f"is not installed: pip install 'stockade[{extra}]'")


@pytest.mark.parametrize(("words", "extra"), [(["serve"], "shop"), (["lab"], "shop"), (["locks"], "redis")])
def test_a_command_says_what_to_install(bare, words, extra):
    """One line, exit code 2, no traceback."""
    code, said = fails(bare, "stockade", *words)
    assert code == 2
    (line,) = said.strip().splitlines()
    assert f"pip install 'stockade[{extra}]'" in line


def test_a_bare_command_knows_its_version(bare):
    """`stockade --version`, `--help` and `locks --help` need no package at all; the help names the extra."""
    assert "pip install 'stockade[shop]'" in bare.run("stockade", "--help")
    assert bare.run("stockade", "--version").startswith("stockade ")
    assert "--break NAME" in bare.run("stockade", "locks", "-h")


@pytest.mark.redis
def test_locks_need_the_redis_extra_only(bare, wheel, environment, redis_url):
    """`stockade locks` works where nothing but `stockade[redis]` is installed."""
    there = environment()
    there.install(f"stockade[redis] @ {wheel.as_uri()}")
    assert "typer" not in there.packages()
    code = (
        "import sys; from stockade.locks import RedisLocks\n"
        "with RedisLocks(sys.argv[1]) as locks: locks.lock('order:42').acquire().detach()"
    )
    there.run("python", "-c", code, redis_url)
    shown = there.run("stockade", "locks", "--redis", redis_url, env=clean_environment() | {"COLUMNS": "60"})
    assert "order:42" in shown
    assert max(map(len, shown.splitlines())) <= 60
    assert there.run("stockade", "locks", "--redis", redis_url, "--break", "order:42").strip().endswith("broken (lock)")


def test_a_module_that_no_extra_brings():
    """There is no advice for it, and what is there is no error."""
    assert advice("nix") == advice(None) == ""
    assert advice("sqlalchemy.exc").endswith("'stockade[store]'")
    require("json")
    with pytest.raises(ModuleNotFoundError, match="structlog_nix"):
        require("structlog_nix")
