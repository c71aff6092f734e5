"""What went wrong, as a page: a plain sentence, and where it is safe the same form once more.

The form has the same key, so the shop knows it again: what it did the first time is not done twice.
"""

import msgspec

from stockade.shop.front.forms import SHOWN_ON, FieldError
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.sessions import FORM_TOKEN
from stockade.shop.front.visit import Visit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.problems import ProblemError, problem
from stockade.shop.http.responses.response import Headers, Response

_WITHOUT = (FORM_TOKEN, SHOWN_ON)  # the page has its own
# of the fields that a visitor sees
_LABELS = {"quantity": "product.quantity", "amount": "charge.amount", "delta": "admin.adjust"}


def problem_page(visit: Visit, response: Response, sentence: str = "", *, here: str = "") -> Response:
    """The page for a problem body of the API; for a script, the sentence.

    Args:
        visit: the request that met it.
        response: as the API would answer.
        sentence: what is wrong, for a buyer; empty: what the code means.
        here: the page that had the form, where the way back leads; empty: as the answer says.
    """
    found = msgspec.json.decode(response.body)
    passed: Headers = tuple((name, value) for name, value in response.headers if name in (b"retry-after", b"x-log-id"))
    sentence = sentence or visit.sentence(found["code"])
    log_id = dict(passed).get(b"x-log-id", b"").decode()
    again = bool(found["retryable"]) and bool(visit.form.pairs)
    if visit.by_script:
        text = f"{sentence} {visit.words('problem.log_id')} {log_id}" if log_id else sentence
        told = {"code": found["code"], "text": text, "retry": again, "outcome": found["outcome"]}
        return visit.tell(response.status, told, passed)
    fields = [(name, value) for name, value in visit.form.pairs if name not in _WITHOUT] if again else []
    shown_on = visit.addresses.own(visit.form.text(SHOWN_ON)) if again else ""
    shown = {"problem": found, "sentence_of_it": sentence, "fields": fields, "log_id": log_id, "shown_on": shown_on}
    if here:
        shown["here"] = here
    return visit.plain_page("problem", response.status, passed, **shown)


def sentence_of(visit: Visit, error: Exception) -> str:
    """Which field of a form is wrong, by its label, and what it may be; empty: it is something else."""
    if not isinstance(error, FieldError):
        return ""
    field = visit.words(_LABELS[error.field]) if error.field in _LABELS else error.field
    return visit.words("problem.range", field=field, least=f"{error.least:,}", most=f"{error.most:,}")


def refused(visit: Visit, code: str, detail: str = "") -> Response:
    """The page for one error code, with the form once more where that is safe."""
    return problem_page(visit, problem(code, detail))


async def _not_found(visit: Visit) -> Response:
    raise ProblemError("NOT_FOUND", visit.path)


NOT_FOUND = (PageRoute("GET", "/shop/{rest:path}", _not_found, Access.ANYONE),)
