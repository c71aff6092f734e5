"""An identity provider for tests: a local HTTP server with a JWK Set, and tokens that its keys sign.

    with LocalIssuer() as issuer:
        verifier = TokenVerifier(JwksKeys(issuer.jwks_url), issuer=issuer.url, audience="shop")
        token = issuer.token("ann", audience="shop")

Neighbour: `jwks_keys` reads what this serves. Not for production: the keys are made at the start and never stored.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

_HOST = "127.0.0.1"
_WELL_KNOWN = "/.well-known/openid-configuration"
_RSA_BITS = 2_048
_JWKS = "/jwks.json"
_MAKE: Mapping[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=_RSA_BITS),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


class LocalIssuer:
    """A provider on a free port of 127.0.0.1, from the start to the end of the `with` block.

    Attributes:
        url: what its tokens have as `iss`.
        jwks_url: address of its JWK Set; `url` also answers OpenID Connect Discovery.
        requests: how often the JWK Set was read.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._keys: dict[str, tuple[str, Any]] = {}  # by their names: algorithm and private key
        self._removed: set[str] = set()
        self._newest = ""
        self._server = ThreadingHTTPServer((_HOST, 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.url = f"http://{_HOST}:{self._server.server_address[1]}"
        self.jwks_url = self.url + _JWKS
        self.rotate("key-1")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, kid: str, algorithm: str = "RS256") -> None:
        """Make a key, publish it, and sign with it from now on.

        Args:
            kid: name of the key.
            algorithm: `RS256` or `ES256`.

        Raises:
            ValueError: another algorithm.
        """
        if algorithm not in _MAKE:
            raise ValueError(f"algorithm must be {' or '.join(_MAKE)}, not {algorithm!r}")
        self._keys = {**self._keys, kid: (algorithm, _MAKE[algorithm]())}
        self._removed = self._removed - {kid}
        self._newest = kid

    def remove(self, kid: str) -> None:
        """Publish a key no longer; it can still sign."""
        self._removed = self._removed | {kid}

    def token(
        self,
        subject: str,
        *,
        audience: str,
        valid_s: float = 3_600.0,
        kid: str = "",
        headers: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A signed token.

        Args:
            subject: the claim `sub`.
            audience: the claim `aud`.
            valid_s: seconds until its end.
            kid: the key that signs; the newest when empty.
            headers: further header parameters.
            claims: further claims; `None` leaves one out.
        """
        now_s = int(time.time())
        own = {"iss": self.url, "sub": subject, "aud": audience, "iat": now_s, "exp": now_s + int(valid_s)}
        all_claims = {name: value for name, value in {**own, **claims}.items() if value is not None}
        name = kid or self._newest
        algorithm, key = self._keys[name]
        return jwt.encode(all_claims, key, algorithm=algorithm, headers={"kid": name, **(headers or {})})

    def jwks(self) -> dict[str, Any]:
        """The JWK Set with the public half of every key that is published."""
        return {"keys": [_public(kid, *key) for kid, key in self._keys.items() if kid not in self._removed]}

    def private_key(self, kid: str) -> Any:
        """The private key, an object of `cryptography`."""
        return self._keys[kid][1]

    def respond(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; replace it to make a provider that misbehaves."""
        if path == _JWKS:
            self.requests += 1
            return 200, json.dumps(self.jwks()).encode()
        if path == _WELL_KNOWN:
            return 200, json.dumps({"issuer": self.url, "jwks_uri": self.jwks_url}).encode()
        return 404, b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that the base class calls
                status, body = issuer.respond(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: a test's output is its own."""

        return Handler


def _public(kid: str, algorithm: str, key: Any) -> dict[str, Any]:
    made: type[RSAAlgorithm] | type[ECAlgorithm] = RSAAlgorithm if algorithm == "RS256" else ECAlgorithm
    members = json.loads(made.to_jwk(key.public_key()))
    return {**members, "kid": kid, "alg": algorithm, "use": "sig"}
