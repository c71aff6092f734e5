"""Bearer tokens of the shop: which settings make which verifier, the development issuer, and signed Locations.

`stockade.identity` verifies; this package only chooses. Neighbours: `http` verifies every request with `Tokens`, the
command line issues development tokens.
"""

from stockade.shop.tokens.of_settings import Tokens, issuer_of, tokens_of
from stockade.shop.tokens.order_proofs import OrderProofs
from stockade.shop.tokens.secret_file import SECRET_FILE, token_secret
from stockade.shop.tokens.token_issuer import TokenIssuer

__all__ = ["SECRET_FILE", "OrderProofs", "TokenIssuer", "Tokens", "issuer_of", "token_secret", "tokens_of"]
