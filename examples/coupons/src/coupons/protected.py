"""The service behind an identity provider: its tokens name the users, and only administrators make campaigns.

`uvicorn --factory coupons.protected:create_app` serves it, with COUPONS_JWKS and COUPONS_ISSUER in the environment.
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Request

from coupons import app as unprotected
from coupons.config import Config
from stockade.identity import BadToken, Identity, JwksKeys, KeysUnavailable, TokenVerifier

AUDIENCE, ADMIN_CLAIM, ADMIN_VALUE = "coupons", "realm_access.roles", "coupons-admin"
CHALLENGE = {"WWW-Authenticate": "Bearer"}


async def caller(request: Request, authorization: Annotated[str, Header()] = "") -> Identity:
    """Who the token names."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, "send Authorization: Bearer TOKEN", CHALLENGE)
    verifier: TokenVerifier = request.app.state.verifier
    try:
        return await verifier.verify(token)
    except BadToken as bad:
        raise HTTPException(401, str(bad), CHALLENGE) from bad
    except KeysUnavailable as down:
        raise HTTPException(503, "try again", {"Retry-After": str(round(down.retry_after_s))}) from down


def user(identity: Annotated[Identity, Depends(caller)]) -> str:
    """The user of a request."""
    return identity.user_id


def admin(identity: Annotated[Identity, Depends(caller)]) -> str:
    """The user of a request that only administrators may send."""
    if not identity.admin:
        raise HTTPException(403, "only an administrator may do this")
    return identity.user_id


def create_app(config: Config | None = None, *, jwks: str = "", issuer: str = "") -> FastAPI:
    """The application of `coupons.app`, with users from tokens instead of a header."""
    jwks, issuer = jwks or os.environ.get("COUPONS_JWKS", ""), issuer or os.environ.get("COUPONS_ISSUER", "")
    if not jwks or not issuer:
        raise SystemExit("COUPONS_JWKS and COUPONS_ISSUER must name the keys and the issuer of the tokens")
    app = unprotected.create_app(config)
    app.state.verifier = TokenVerifier(
        JwksKeys(jwks),
        issuer=issuer,
        audience=AUDIENCE,
        admin_claim=ADMIN_CLAIM,
        admin_value=ADMIN_VALUE,
    )
    app.dependency_overrides |= {unprotected.current_user: user, unprotected.current_admin: admin}
    return app
