"""What the settings mean: the three ways, the development issuer, and what does not fit together."""

import json
import os
import subprocess
import sys

import jwt
import pytest

from stockade.shop.config.load import load_settings
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.tokens import SECRET_FILE, issuer_of, tokens_of
from tests.cli.service import stockade
from tests.identity.parts import AUDIENCE

SECRET, NEW = "a secret that only tests use", "a new secret that only tests use"
WAYS = {
    "one secret": {"token_secret": SECRET},
    "named secrets": {"token_secrets": f"2026-11={NEW},2026-10={SECRET}"},
    "named and one": {"token_secrets": f"2026-11={NEW}", "token_secret": SECRET},
    "the state folder": {},
}
CLAIMS = {
    "defaults": {},
    "issuer and audience": {"token_issuer": "https://dev", "token_audience": "shop,api"},
    "a path": {"token_admin_claim": "realm_access.roles", "token_admin_value": "shop-admin"},
    "a user claim": {"token_user_claim": "ext.login", "token_admin_claim": "scope", "token_admin_value": "shop:admin"},
    "an address": {"token_user_claim": "email"},
    "an address in an object": {"token_user_claim": "profile.email"},
}


@pytest.mark.parametrize("claims", CLAIMS)
@pytest.mark.parametrize("way", WAYS)
async def test_the_development_issuer_agrees_with_the_verifier(tmp_path, way, claims):
    """Whatever the settings ask of a token, a token of `stockade token` has it; without --admin it makes nobody one."""
    settings = Settings(state_dir=str(tmp_path), **WAYS[way], **CLAIMS[claims])
    issuer, verifier = issuer_of(settings), tokens_of(settings).verifier
    for admin in (True, False):
        for user in ("ann", "auth0|1", "x" * 255):
            identity = await verifier.verify(issuer.issue(user, valid_s=60, admin=admin))
            assert (identity.subject, identity.admin) == (user, admin)


async def test_the_first_secret_signs(tmp_path):
    """A new token names the first secret; tokens of the others, and without a name, are accepted with theirs."""
    settings = Settings(state_dir=str(tmp_path), token_secrets=f"new={NEW},old={SECRET}", token_secret=SECRET * 2)
    tokens = tokens_of(settings)
    assert jwt.get_unverified_header(tokens.issuer.issue("ann", valid_s=60))["kid"] == "new"
    before = issuer_of(Settings(token_secrets=f"old={SECRET}")).issue("ann", valid_s=60)
    nameless = issuer_of(Settings(token_secret=SECRET * 2)).issue("ann", valid_s=60)
    for token in (before, nameless):
        assert (await tokens.verifier.verify(token)).user_id == "ann"
    assert not (tmp_path / SECRET_FILE).exists()


async def test_a_file_of_secrets(tmp_path):
    """The command line signs with the first line, and the service accepts every line."""
    path = tmp_path / "secrets"
    path.write_text(f"new = {NEW}\nold = {SECRET}\n")
    path.chmod(0o600)
    settings = Settings(state_dir=str(tmp_path), token_secrets_file=str(path))
    tokens = tokens_of(settings)
    token = issuer_of(settings).issue("ann", valid_s=60)
    assert jwt.get_unverified_header(token)["kid"] == "new"
    assert (await tokens.verifier.verify(token)).user_id == "ann"
    path.write_text("# all of them are gone\n")
    both = Settings(state_dir=str(tmp_path), token_secrets_file=str(path), token_secret=SECRET)
    assert (await tokens_of(both).verifier.verify(issuer_of(both).issue("ann", valid_s=60))).user_id == "ann"
    proof = tokens.proofs.sign("order-1", "ann", 5)
    assert tokens_of(Settings(token_secret=NEW)).proofs.since_ms(proof, "order-1", "ann") == 5


def test_a_location_outlives_a_rotation():
    """A Location that was signed with the old secret is valid while the old secret is there, and not afterwards."""
    before = tokens_of(Settings(token_secrets=f"old={SECRET}"))
    both = tokens_of(Settings(token_secrets=f"new={NEW},old={SECRET}"))
    after = tokens_of(Settings(token_secrets=f"new={NEW}"))
    proof = before.proofs.sign("order-1", "auth0|ann", 1_000)
    assert both.proofs.since_ms(proof, "order-1", "auth0|ann") == 1_000
    assert both.proofs.since_ms(proof, "order-1", "auth0|bob") is None
    assert after.proofs.since_ms(proof, "order-1", "auth0|ann") is None
    assert before.proofs.since_ms(both.proofs.sign("order-1", "ann", 1), "order-1", "ann") is None


@pytest.mark.parametrize("address", ["url", "discover", "file"])
async def test_a_provider(issuer, tmp_path, address):
    """All three ways to a provider's keys; its claim `adm` makes nobody an administrator, the setting does."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(issuer.jwks()))
    jwks = {"url": issuer.jwks_url, "discover": "discover", "file": str(path)}[address]
    common = {"token_jwks": jwks, "token_issuer": issuer.url, "token_audience": AUDIENCE, "state_dir": str(tmp_path)}
    token = issuer.token("auth0|1", audience=AUDIENCE, adm=True, permissions=["shop:admin"])
    plain = tokens_of(Settings(**common))
    assert (await plain.verifier.verify(token))[:2] == ("auth0|1", False)
    assert plain.issuer is None
    chosen = tokens_of(Settings(**common, token_admin_claim="permissions", token_admin_value="shop:admin"))
    assert (await chosen.verifier.verify(token))[:2] == ("auth0|1", True)


JWKS = {"token_jwks": "https://id.example/jwks", "token_issuer": "https://id.example", "token_audience": "shop"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({**JWKS, "token_audience": ""}, r"token_jwks: needs token_audience"),
        ({"token_jwks": JWKS["token_jwks"]}, r"needs token_issuer and token_audience"),
        ({**JWKS, "token_secrets": f"a={SECRET}"}, r"only one of them"),
        ({"token_secrets_file": "/f", "token_secrets": f"a={SECRET}"}, r"only one of them"),
        ({**JWKS, "token_algorithms": "HS256"}, r"must name RS256 or ES256"),
        ({**JWKS, "token_algorithms": "RS256,none"}, r"must name RS256 or ES256"),
        ({"token_secret": SECRET, "token_algorithms": "RS256"}, r"with secrets it must name HS256"),
        ({**JWKS, "token_jwks": "http://id.example/jwks"}, r"token_jwks: .* must be https"),
        ({**JWKS, "token_jwks": "discover", "token_issuer": "http://id.example"}, r"token_issuer: .* must be https"),
        ({"token_secrets": "no-name-for-this"}, r"token_secrets: entry 1 is not name=secret"),
        ({"token_secrets": "a=short"}, r"token_secrets: .* less than 16 bytes"),
        ({"token_secrets": ","}, r"token_secrets: there is no secret"),
        ({"token_secrets": "# a comment"}, r"token_secrets: there is no secret"),
        ({"token_secrets_file": "/none/secrets"}, r"token_secrets_file: cannot read /none/secrets"),
        ({"token_user_claim": ""}, r"token_user_claim: must name a claim"),
        ({**JWKS, "token_refresh_s": 3_600, "token_keep_hours": 0.5}, r"keep_s \(1800\) must not be less"),
    ],
)
def test_settings_that_do_not_fit_together(settings, reason):
    """Each is refused at the start with one line, which quotes no secret."""
    with pytest.raises(BadSetting, match=reason) as bad:
        tokens_of(Settings(**settings))
    assert not any(each in str(bad.value) for each in (SECRET, "no-name-for", "short,"))


def test_secrets_as_a_table(tmp_path):
    """The file of settings may write them as a table; a secret that no other form can hold is refused, unquoted."""
    path = tmp_path / "stockade.toml"
    path.write_text(f'[token_secrets]\n"2026-11" = "{NEW}"\n"2026-10" = "{SECRET}"\n')
    settings = load_settings({}, {}, str(path))
    assert settings.token_secrets == f"2026-11={NEW},2026-10={SECRET}"
    assert SECRET not in repr(settings)
    for wrong in ('"a" = "secret-with,comma"', '"a=b" = "secret-with-something"', '"a" = 7'):
        path.write_text(f"[token_secrets]\n{wrong}\n")
        with pytest.raises(BadSetting, match="token_secrets: 'a") as bad:
            load_settings({}, {}, str(path))
        assert "secret-with" not in str(bad.value)


def test_the_command_line_issues_no_token_of_a_provider(tmp_path):
    """`stockade token` under token_jwks is refused with the reason, and makes no file."""
    done = stockade(tmp_path, "token", "ann", token_secret="", **JWKS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: token_jwks (from STOCKADE_TOKEN_JWKS) is set: an identity provider")
    assert not list(tmp_path.iterdir())


def test_serve_refuses_what_does_not_fit_together(tmp_path):
    """A wrong setting of tokens ends `serve` before anything is opened."""
    done = stockade(tmp_path, "serve", token_secret="", token_secrets="a=b")
    assert done.returncode == 2
    assert "token_secrets (from STOCKADE_TOKEN_SECRETS): the secret a has less than 16 bytes" in done.stderr


def test_without_cryptography(tmp_path):
    """HS256 needs only PyJWT; a provider's keys without cryptography are refused with what to install."""
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from stockade.shop.config.settings import BadSetting, Settings\n"
        "from stockade.shop.tokens import issuer_of, tokens_of\n"
        "import asyncio\n"
        "own = Settings(token_secret='x' * 32)\n"
        "token = issuer_of(own).issue('ann', valid_s=60)\n"
        "print(asyncio.run(tokens_of(own).verifier.verify(token)).user_id)\n"
        f"try: tokens_of(Settings(**{JWKS!r}))\n"
        "except BadSetting as bad: print(bad)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=True)
    assert done.stdout.splitlines() == ["ann", "token_jwks: public keys need cryptography: pip install 'stockade[jwt]'"]
