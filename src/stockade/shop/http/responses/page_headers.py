"""What a browser may do with a page: load from this service alone, and nothing that the page does not need.

No inline script, no inline style, no frame, no other site. Neighbours that send these headers: the shop front, the page
at /docs, and the live page of the lab. Source: OWASP Secure Headers Project.
"""

from stockade.shop.http.responses.response import Headers

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{data}; font-src 'self'{data}; "
    "connect-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
)


def page_headers(cache: str, *, forms: bool = False, data_urls: bool = False) -> Headers:
    """The headers of a page, or of one of its files.

    Args:
        cache: value of Cache-Control.
        forms: whether the page has forms for this service. With the referrer policy `no-referrer` a browser would send
            `Origin: null` with them; without forms no address leaves the page, for it may contain a secret.
        data_urls: whether its style sheets have pictures and fonts inside.
    """
    data, targets = (" data:" if data_urls else ""), ("'self'" if forms else "'none'")
    return (
        (b"content-security-policy", _POLICY.format(data=data, forms=targets).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin" if forms else b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
        (b"cache-control", cache.encode()),
    )
