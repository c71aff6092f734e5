"""docs/api.md and docs/settings.md say what the code does."""

from pathlib import Path

from stockade.shop.config.settings import allowed, setting_fields
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.routes import ROUTES

DOCS = Path(__file__).parents[2] / "docs"


def cells(name, header=""):
    """The rows of all tables of a document, or of the one with this header, as lists of cells."""
    text = (DOCS / name).read_text()
    if header:
        text = text[text.index(header) :].partition("\n\n")[0]
    lines = text.splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| `")]


def test_every_setting_is_described():
    """Each setting has its row, with its default, bounds and purpose."""
    rows = {row[0].strip("`"): row[1:] for row in cells("settings.md", "| setting | default |")}
    assert set(rows) == {item.name for item in setting_fields()}
    for item in setting_fields():
        default = f"{item.default:g}" if item.type is float else str(item.default) or "(empty)"
        assert rows[item.name] == [default, allowed(item), item.metadata["about"]]


def test_every_code_is_described():
    """Each code has its row, with status, retry, outcome, whether it is kept, and its title."""
    rows = {row[0].strip("`"): row[1:] for row in cells("api.md") if len(row) == 6 and row[1].isdigit()}
    assert set(rows) == set(ERROR_CODES)
    for name, code in ERROR_CODES.items():
        words = [str(code.status), "yes" if code.retryable else "no", code.outcome, "yes" if code.stored else "no"]
        assert rows[name] == [*words, code.title]


def test_every_route_is_described():
    """Each route has its row, with its own codes."""
    rows = {row[0].strip("`"): row for row in cells("api.md") if "/v1/" in row[0]}
    assert set(rows) == {f"{route.method} {route.path}" for route in ROUTES}
    for route in ROUTES:
        _, _, keyed, status, codes, summary = rows[f"{route.method} {route.path}"]
        assert (keyed == "yes", status, summary) == (route.keyed, str(route.status), route.summary)
        assert all(code in codes for code in (*route.codes, route.missing))
