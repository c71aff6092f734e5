"""What the settings `token_…` mean: the keys and rules of the verifier, the development issuer, the signed Locations.

Three ways: one secret (`token_secret`, or the file in the state folder), several secrets with names (`token_secrets`,
`token_secrets_file`), or the public keys of a provider (`token_jwks`). Neighbours: `stockade.identity` does the work.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from stockade.identity import BadKeys, JwksKeys, KeySource, Refresh, SecretFileKeys, SecretKeys, TokenVerifier
from stockade.identity.secret_keys import parse_secrets, read_secrets
from stockade.identity.signatures import PUBLIC, SYMMETRIC
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.operations.logs import logger
from stockade.shop.tokens.order_proofs import OrderProofs
from stockade.shop.tokens.secret_file import token_secret
from stockade.shop.tokens.token_issuer import ADMIN_CLAIM, TokenIssuer

DISCOVER = "discover"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a service needs to know who calls.

    Attributes:
        verifier: verifies bearer tokens.
        proofs: signs and checks the Locations of queued orders.
        secrets: returns those that the service signs with, the first one, and checks with, all of them.
        issuer: the development issuer; None where a provider issues the tokens.
        begin: begins to load the keys, so that the first request need not wait for them.
    """

    verifier: TokenVerifier
    proofs: OrderProofs
    secrets: Callable[[], Sequence[bytes]]
    issuer: TokenIssuer | None
    begin: Callable[[], None]


def tokens_of(settings: Settings) -> Tokens:
    """The verifier and the rest, as the settings say. Loads no keys of a provider yet.

    Raises:
        BadSetting: the settings do not fit together, or a secret or a file cannot be used.
    """
    _check(settings)
    issuer = None if settings.token_jwks else issuer_of(settings)
    if settings.token_jwks:
        public = _provider_keys(settings)
        signing = _fixed([token_secret(settings)])
        return Tokens(_verifier(settings, public), OrderProofs(signing), signing, issuer, public.begin)
    if settings.token_secrets_file:
        path = Path(settings.token_secrets_file).expanduser()
        own = settings.token_secret or None
        secrets = _named(settings, "token_secrets_file", lambda: SecretFileKeys(path, without_name=own, report=_report))
        signing = secrets.secrets
        return Tokens(_verifier(settings, secrets), OrderProofs(signing), signing, issuer, secrets.begin)
    fixed = _fixed_secrets(settings)
    keys = _named(settings, "token_secrets", lambda: _secret_keys(fixed))
    signing = _fixed([secret for _, secret in fixed])
    return Tokens(_verifier(settings, keys), OrderProofs(signing), signing, issuer, _nothing)


def issuer_of(settings: Settings) -> TokenIssuer:
    """The development issuer, which signs with the first secret.

    Raises:
        BadSetting: as `tokens_of`, or a provider issues the tokens.
    """
    _check(settings)
    if settings.token_jwks:
        raise BadSetting(
            f"{settings.with_source('token_jwks')} is set: an identity provider issues the tokens, and stockade has no "
            "key to sign them with"
        )
    if settings.token_secrets_file:
        path = Path(settings.token_secrets_file).expanduser()
        kid, secret = _several_secrets(settings, "token_secrets_file", lambda: read_secrets(path))[0]
    else:
        kid, secret = _fixed_secrets(settings)[0]
    return TokenIssuer(
        secret,
        kid,
        issuer=settings.token_issuer,
        audience=next(iter(_listed(settings.token_audience)), ""),
        user_claim=settings.token_user_claim,
        admin_claim=settings.token_admin_claim or ADMIN_CLAIM,
        admin_value=settings.token_admin_value,
    )


def _check(settings: Settings) -> None:
    """Refuse settings that do not fit together.

    Raises:
        BadSetting: with the two settings.
    """
    ways = [name for name in ("token_jwks", "token_secrets", "token_secrets_file") if getattr(settings, name)]
    if len(ways) > 1:
        raise BadSetting(f"{settings.with_source(*ways)}: only one of them can say where the keys of tokens are")
    missing = [name for name in ("token_issuer", "token_audience") if not getattr(settings, name)]
    if settings.token_jwks and missing:
        why = "the provider signs tokens for other services too"
        raise BadSetting(f"{settings.with_source('token_jwks')}: needs {' and '.join(missing)}, because {why}")
    allowed = PUBLIC if settings.token_jwks else (SYMMETRIC,)
    if not set(_listed(settings.token_algorithms)) <= set(allowed):
        chosen = settings.with_value(token_algorithms=settings.token_algorithms)
        where = "with token_jwks" if settings.token_jwks else "with secrets"
        raise BadSetting(f"{chosen}: {where} it must name {' or '.join(allowed)}")
    if not settings.token_user_claim:
        raise BadSetting(f"{settings.with_source('token_user_claim')}: must name a claim")


def _provider_keys(settings: Settings) -> JwksKeys:
    algorithms = _listed(settings.token_algorithms) or PUBLIC
    try:
        refresh = Refresh(
            refresh_s=settings.token_refresh_s,
            retry_s=settings.token_retry_s,
            keep_s=settings.token_keep_hours * 3_600,
        )
    except ValueError as error:
        raise BadSetting(f"{settings.with_source('token_keep_hours', 'token_refresh_s')}: {error}") from None
    if settings.token_jwks == DISCOVER:
        return _named(
            settings,
            "token_issuer",
            lambda: JwksKeys.of_issuer(settings.token_issuer, algorithms=algorithms, refresh=refresh, report=_report),
        )
    return _named(
        settings,
        "token_jwks",
        lambda: JwksKeys(settings.token_jwks, algorithms=algorithms, refresh=refresh, report=_report),
    )


def _fixed_secrets(settings: Settings) -> list[tuple[str | None, bytes]]:
    """The secrets with their names, the one that signs first."""
    if not settings.token_secrets:
        return [(None, token_secret(settings))]
    return _several_secrets(settings, "token_secrets", lambda: parse_secrets(settings.token_secrets))


def _several_secrets(
    settings: Settings, setting: str, read: Callable[[], dict[str, str]]
) -> list[tuple[str | None, bytes]]:
    """The named secrets of a setting and then `token_secret`; at least one, and all usable.

    Raises:
        BadSetting: there is none, or one cannot be used.
    """
    named = _named(settings, setting, read)
    found: list[tuple[str | None, bytes]] = [(name, secret.encode()) for name, secret in named.items()]
    if settings.token_secret:
        found.append((None, settings.token_secret.encode()))
    _named(settings, setting, lambda: _secret_keys(found))
    return found


def _secret_keys(secrets: Sequence[tuple[str | None, bytes]]) -> SecretKeys:
    without_name = next((secret for name, secret in secrets if name is None), None)
    return SecretKeys({name: secret for name, secret in secrets if name is not None}, without_name=without_name)


def _verifier(settings: Settings, keys: KeySource) -> TokenVerifier:
    # a provider may use `adm` for something else, so it makes an administrator only where a setting says so
    own = "" if settings.token_jwks else ADMIN_CLAIM
    return TokenVerifier(
        keys,
        issuer=settings.token_issuer,
        audience=_listed(settings.token_audience),
        user_claim=settings.token_user_claim,
        admin_claim=settings.token_admin_claim or own,
        admin_value=settings.token_admin_value,
        leeway_s=settings.token_leeway_s,
    )


def _named(settings: Settings, name: str, make: Callable[[], _T]) -> _T:
    """What `make` returns; its complaint with the setting's name and source.

    Raises:
        BadSetting: instead of BadKeys.
    """
    try:
        return make()
    except BadKeys as bad:
        raise BadSetting(f"{settings.with_source(name)}: {bad}") from None


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _fixed(secrets: list[bytes]) -> Callable[[], Sequence[bytes]]:
    return lambda: secrets


def _nothing() -> None:
    """Secrets of the settings are there already."""


def _report(reason: str | None) -> None:
    if reason is None:
        logger().warning("the keys of tokens are loaded again")
    else:
        logger().warning("the keys of tokens cannot be loaded", reason=reason)
