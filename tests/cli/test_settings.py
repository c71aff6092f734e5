"""Settings: where they come from, which source wins, and what a bad one says."""

import pytest

from stockade.shop.config.load import load_settings
from stockade.shop.config.settings import BadSetting, Settings, allowed, setting_fields


@pytest.fixture
def load(tmp_path):
    """Function: flags, environment, text of stockade.toml -> settings."""

    def load(flags=None, environ=None, toml=None):
        if toml is not None:
            (tmp_path / "stockade.toml").write_text(toml)
        return load_settings(flags or {}, environ or {}, folder=tmp_path)

    return load


def test_defaults(load):
    """Without any source the defaults hold, and the database is a file in the state folder."""
    settings = load()
    assert settings == Settings()
    assert settings.uses_default_database
    assert settings.database_url.endswith(".stockade/stockade.db")


def test_flags_win_over_environment_over_file(load):
    """The nearest source wins, each setting by itself."""
    toml = "port = 1\npool_size = 1\nworkers = 1"
    settings = load({"port": 3, "host": None}, {"STOCKADE_PORT": "2", "STOCKADE_POOL_SIZE": "2"}, toml)
    assert (settings.port, settings.pool_size, settings.workers, settings.host) == (3, 2, 1, "127.0.0.1")


def test_one_strategy_for_all_and_one_for_each(load):
    """`strategy` stands for every group that its own source does not name; a nearer source wins over both."""
    both = load(environ={"STOCKADE_STRATEGY": "conditional", "STOCKADE_STRATEGY_POINTS": "optimistic"})
    assert (both.strategy_stock, both.strategy_points) == ("conditional", "optimistic")
    nearer = load({"strategy": "pessimistic"}, {"STOCKADE_STRATEGY_STOCK": "optimistic"})
    assert (nearer.strategy_stock, nearer.strategy_points) == ("pessimistic", "pessimistic")


def test_the_file_can_be_named(tmp_path):
    """--config or STOCKADE_CONFIG name another file; one that is not there is an error."""
    path = tmp_path / "other.toml"
    path.write_text('strategy = "conditional"\nwait_s = 2')
    for flags in ({"config": str(path)}, {"environ": {"STOCKADE_CONFIG": str(path)}}):
        settings = load_settings({}, flags.get("environ", {}), flags.get("config"), tmp_path)
        assert (settings.strategy_points, settings.wait_s) == ("conditional", 2.0)
    with pytest.raises(BadSetting, match=r"cannot read .*nix\.toml"):
        load_settings({}, {}, str(tmp_path / "nix.toml"))


BAD = [
    ({"pool_size": 0}, {}, None, r"pool_size = 0: must be a whole number from 1 to 1000 \(from the command line\)"),
    ({}, {"STOCKADE_PORT": "99999"}, None, r"port = '99999'.*from STOCKADE_PORT"),
    ({}, {"STOCKADE_WAIT_S": "nan"}, None, r"wait_s = 'nan': must be a number from 0.05 to 60"),
    ({}, {"STOCKADE_STAMP": "clock"}, None, r"stamp = 'clock': must be one of version, timestamp"),
    ({}, {}, "retries = true", r"retries = True: must be a whole number .*stockade\.toml"),
    ({}, {}, "port = 1.5", r"port = 1\.5.*from port in stockade\.toml"),
    ({}, {}, 'strategie = "x"', r"unknown setting strategie .*did you mean strategy"),
    ({"nix": 1}, {}, None, r"unknown setting nix .*allowed: strategy, database"),
    ({}, {"STOCKADE_STRATEGY_STOKC": "x"}, None, r"unknown setting strategy_stokc.*did you mean strategy_stock"),
    ({}, {}, "a = ", r"not valid TOML"),
    ({}, {"STOCKADE_TOKEN_SECRET": "short"}, None, r"token_secret is too short"),
    ({"max_batch": 10_001}, {}, None, r"max_batch = 10001: must be a whole number from 1 to 10000"),
]


@pytest.mark.parametrize(("flags", "environ", "toml", "message"), BAD)
def test_a_bad_setting_names_itself_its_source_and_what_is_allowed(load, flags, environ, toml, message):
    """Zero, out of range, not a number, unknown, misspelt, unreadable: one clear sentence each."""
    with pytest.raises(BadSetting, match=message):
        load(flags, environ, toml)


def test_variables_of_others_are_left_alone(load):
    """Other programs of the project use the prefix too, and an empty variable counts as unset."""
    environ = {"STOCKADE_TEST_POSTGRES_URL": "x", "STOCKADE_POSTGRES_BIN": "y", "STOCKADE_PORT": "", "PORT": "1"}
    assert load(environ=environ) == Settings()


def test_a_secret_is_never_shown():
    """Neither the text of settings nor an error about it contains the secret."""
    settings = Settings(token_secret="a secret that nobody may see")
    assert "nobody" not in repr(settings)
    with pytest.raises(BadSetting) as bad:
        Settings(token_secret="a secret\nthat nobody may see")
    assert "nobody" not in str(bad.value)


URL = "postgresql://ann:pass-word-77@h/d"
WITH_A_PASSWORD = {
    "a newline at its end": ({"database": f"{URL}\n"}, "in one line"),
    "a space before it": ({"redis": " redis://:pass-word-77@h/0"}, "no space at its ends"),
    "a zero byte": ({"database": f"{URL}\0"}, "in one line"),
    "a list of URLs": ({"redis": [URL, "redis://:pass-word-77@h2/0"]}, "must be text"),
    "another type of setting": ({"pool_size": URL}, "whole number"),
    "what is too long": ({"database": f"{URL}?{'x' * 2_000}"}, "2,000 characters"),
    "another setting's name": ({URL: "x"}, "unknown setting"),
    "words of a DSN": ({"port": "host=h password=pass-word-77"}, "whole number"),
    "the secret itself": ({"token_secret": "pass-word-77-and-more\n"}, "in one line"),
}


@pytest.mark.parametrize(("flags", "says"), WITH_A_PASSWORD.values(), ids=WITH_A_PASSWORD)
def test_no_password_in_what_is_said_of_a_setting(load, flags, says):
    """Whatever is wrong with a value, its password is not shown; the sentence says what is allowed."""
    with pytest.raises(BadSetting, match=says) as bad:
        load(flags)
    assert "pass-word-77" not in str(bad.value)
    assert len(str(bad.value).splitlines()) == 1


def test_no_password_in_the_text_of_settings():
    """`repr` shows where the database is, and no password in any URL."""
    shown = repr(Settings(database=URL, redis="redis://:pass-word-77@h/0,rediss://u:pass-word-77@h2/0"))
    assert "pass-word-77" not in shown
    assert "ann" in shown


def test_every_setting_says_what_it_is_for_and_what_it_allows():
    """Each field carries a sentence and bounds, and its default keeps them."""
    for item in setting_fields():
        assert item.metadata["about"].endswith("."), item.name
        assert allowed(item), item.name
        assert item.type is str or item.metadata["low"] is not None, item.name
