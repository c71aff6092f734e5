"""Reads what a browser sends: cookies, the query string, a form; and makes the keys that forms carry.

Neighbour: `visit` has them read for one request.
"""

import secrets
from urllib.parse import parse_qsl

from starlette.types import Scope

from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.model.limits import MAX_LINES

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 3 * MAX_LINES + 20  # an order has three for each line
MAX_PARAMETERS = 20
MAX_DIGITS = 19  # of 2**63 - 1
SHOWN_ON = "shown_on"  # the field of every form with the address of its page


class FieldError(ProblemError):
    """A field is no whole number, or is out of range: INVALID_REQUEST, and the page says which one.

    Args:
        field: its name.
        least: that it may be.
        most: that it may be.
    """

    def __init__(self, field: str, least: int, most: int) -> None:
        super().__init__("INVALID_REQUEST", f"{field} must be a whole number from {least} to {most}")
        self.field, self.least, self.most = field, least, most


class Fields:
    """The fields of a form or of a query string, in their order.

    Args:
        pairs: names and values.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self.pairs)

    def text(self, name: str, default: str = "") -> str:
        """The first value of a field, without blanks around it."""
        return next((value.strip() for each, value in self.pairs if each == name), default)

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [value.strip() for each, value in self.pairs if each == name]

    def number(self, name: str, least: int, most: int) -> int:
        """A field as a whole number within its bounds.

        Raises:
            FieldError: it is none.
        """
        return _whole(name, self.text(name), least, most)

    def numbers(self, name: str, least: int, most: int) -> list[int]:
        """All values of a field as whole numbers; raises as `number`."""
        return [_whole(name, text, least, most) for text in self.texts(name)]


def _whole(name: str, text: str, least: int, most: int) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS and least <= int(text) <= most:
        return int(text)
    raise FieldError(name, least, most)


def read_fields(raw: str, most: int) -> Fields:
    """A query string or the body of a form.

    Raises:
        ProblemError: INVALID_REQUEST, it has more than `most` fields, or is not UTF-8.
    """
    try:
        return Fields(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=most))
    except ValueError:
        raise ProblemError("INVALID_REQUEST", f"a form has at most {most} fields, in UTF-8") from None


def cookies_of(scope: Scope) -> dict[str, str]:
    """The cookies of a request (RFC 6265, 4.2.1); of two with the same name the first, which has the longer path.

    Each is read by itself: another application of the same host may set what the RFC does not allow, e.g. JSON.
    """
    found: dict[str, str] = {}
    for header_name, raw in scope["headers"]:
        for pair in raw.decode("latin-1").split(";") if header_name == b"cookie" else ():
            name, equals, value = pair.partition("=")
            if equals:
                found.setdefault(name.strip(), value.strip().strip('"'))
    return found


def header(scope: Scope, wanted: bytes) -> str:
    """The first header of this name, which is in lower case; empty where it is absent."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


def new_key(now_ms: int) -> str:
    """A version-7 UUID (RFC 9562): the Idempotency-Key of one form.

    Args:
        now_ms: wall clock in milliseconds since 1970.
    """
    number = (now_ms & (2**48 - 1)) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
