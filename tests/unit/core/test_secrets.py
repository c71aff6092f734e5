"""No message shows a password, however the URL is written."""

import pytest

from stockade.core.secrets import hide_password

PASSWORD = "pass-word/77"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@h/d",
        f"postgresql://u:{PASSWORD}@h/d\n",
        f"u:{PASSWORD}@h/d",
        f"redis://:{PASSWORD}@h/0",
        f"redis://:{PASSWORD}@a:1,redis://:{PASSWORD}@b:2",
        f"mysql://u:a@b{PASSWORD}@h/d?ssl_ca=x",
        f"postgresql://h/d?user=u&password={PASSWORD}",
        f"postgresql://h/d?sslpassword={PASSWORD}&sslmode=require",
        f"redis://h?PASSWORD={PASSWORD}",
        f"postgresql://app:{PASSWORD.replace('/', '')}/shop",
        f"redis://app:{PASSWORD.replace('/', '')}",
        f"app:{PASSWORD.replace('/', '')}/shop",
    ],
)
def test_a_password_is_hidden(url):
    """Whatever stands where a URL has its password does not appear."""
    shown = hide_password(url)
    assert PASSWORD not in shown
    assert "77" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///folder/file.db",
        "redis://a:1/0,redis://b:2/0",
        "postgresql://a:1,b:2/d",
        "redis://[::1]:6379/0",
        "permission denied: table x",
        "postgresql://u@h:5432/d?sslmode=require",
        "redis://h:6379/0",
        "unix:///a/b",
    ],
)
def test_a_url_without_one_is_shown_whole(url):
    """Nothing else is changed, so that a message still names the place."""
    assert hide_password(url) == url
