"""Locks over database sessions: a refusal is raised at once, and is no outage to wait for.

Neighbours: `faults/test_bounds_sessions.py` (its sites and faces), `redis/test_redis_tls.py` (the same over Redis).
"""

import re

import pytest

from stockade.locks import LockError, LockUnavailable
from tests.locks.bounds import ends_within
from tests.locks.faults import test_bounds_sessions as sessions
from tests.locks.faults.test_bounds_sessions import Face, kind, make_site, url_of  # noqa: F401 - `kind` is a fixture

PATIENCE_S = 20.0
AT_ONCE_S = 2.0
CALLS = {
    "acquire": lambda user: user.lock("own").acquire(),
    "acquire with limit": lambda user: user.lock("own").acquire(timeout=PATIENCE_S),
    "try": lambda user: user.lock("own").try_acquire(),
    "inspect": lambda user: user.provider.inspect("own"),
    "break": lambda user: user.provider.break_("own"),
}
REFUSED = {
    "login": lambda url: url.replace(f"{sessions.USER}@", "nobody:wrong-password@"),
    "database": lambda url: re.sub(r"/\w+$", "/nowhere", url),
}


@pytest.fixture
def patient(monkeypatch):
    """The users of this test would wait for a long time."""
    monkeypatch.setattr(sessions, "PATIENCE_S", PATIENCE_S)


@pytest.fixture
def site(kind, servers):  # noqa: F811 - the fixture above
    """A server of the test's own."""
    made = make_site(kind, servers)
    yield made
    made.link.close()


def refused(user, call):
    """The error of a call, which comes at once and does not read as an outage."""
    error = ends_within(AT_ONCE_S, lambda: user.do(lambda: CALLS[call](user))).error
    assert isinstance(error, LockError), error
    assert not isinstance(error, LockUnavailable), error
    assert "wrong-password" not in str(error)
    return error


@pytest.mark.parametrize("face", ["threads", "tasks"])
def test_a_refused_login_or_database_is_said_at_once(kind, site, face, patient):  # noqa: F811 - as above
    """Every first call of a provider whose login, or database, the server refuses is a LockError that says where."""
    for change in REFUSED.values():
        url = change(url_of(kind, site.server.port))
        for call in CALLS:
            with Face(face, kind, url) as user:
                assert f"127.0.0.1:{site.server.port}" in str(refused(user, call))


@pytest.mark.parametrize("face", ["threads", "tasks"])
def test_a_right_that_is_taken_away_is_said_at_once(kind, site, face, patient):  # noqa: F811 - as above
    """A right that goes while the provider is in use is a LockError for the next lock; given again, it works."""
    with Face(face, kind, url_of(kind, site.server.port)) as user:
        sessions.warm(user)
        if kind == "postgres":
            site.refuse()
        else:
            revoke = f"REVOKE ALL ON stockade.* FROM {sessions.USER}@'%'"
            sessions.mysql_statements(site, revoke, f"KILL USER {sessions.USER}")  # a session keeps what it had
        for call in ("acquire", "acquire with limit", "try"):
            refused(user, call)
        if kind == "postgres":
            site.allow()
        else:
            sessions.mysql_statements(site, f"GRANT ALL ON stockade.* TO {sessions.USER}@'%'", "FLUSH PRIVILEGES")
        user.do(user.do(lambda: user.lock("own").acquire(timeout=10)).release)
