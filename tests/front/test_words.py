"""The words of the pages: every language has the same, every page finds its own, and numbers read as people write."""

import re
import string

import pytest

from stockade.shop.front.languages import LANGUAGES, Words, words_of
from stockade.shop.front.rendering import environment, money
from stockade.shop.http.requests.accept_language import language_for
from stockade.shop.http.responses.error_codes import ERROR_CODES
from tests.test_tidy import ROOT

TEMPLATES = ROOT / "src" / "stockade" / "shop" / "front" / "templates"
BY_PREFIX = ("code.", "status.", "points.", "products.sort_", "admin.sink_", "money.")  # chosen by what is shown


def names_in(text):
    """What is to be filled into a text."""
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_all_languages_have_the_same_words():
    """The same keys in each file, with the same names to fill in."""
    english = {key: names_in(text) for key, text in words_of("en").items()}
    for language in LANGUAGES:
        assert {key: names_in(text) for key, text in words_of(language).items()} == english


def test_korean_is_korean():
    """No text is left in English, except names."""
    left = [key for key, text in words_of("ko").items() if text == words_of("en")[key]]
    assert set(left) <= {"shop.api", "product.sku", "admin.sku", "money.USD", "money.EUR"}


def test_every_word_is_used_and_every_used_word_is_there():
    """Nothing names a key that is missing, and no key is left that nothing shows."""
    text = "".join(path.read_text("utf-8") for path in TEMPLATES.parent.rglob("*.*") if path.suffix in (".html", ".py"))
    used = set(re.findall(r"(?<!\w)(?:t|visit\.words)\([\"']([\w.]+)[\"']", text))
    assert used <= {*words_of("en"), *BY_PREFIX}
    unused = [key for key in words_of("en") if key not in used and not key.startswith(BY_PREFIX)]
    assert unused == []


def test_codes_of_the_words_are_codes():
    """No sentence is for a code that the service does not have."""
    codes = {key.removeprefix("code.") for key in words_of("en") if key.startswith("code.")}
    assert codes - {*ERROR_CODES} == {"OTHER", "PENDING"}


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("", "de, en;q=0.5, ko;q=0.7", "ko"),
        ("", "ko;q=0, en;q=0.1", "en"),
        ("", "ko;q=x", "en"),
        ("", "ko;q=nan", "en"),
        ("", "ko;q=inf", "en"),
        ("", "fr, ko ; q=0.2", "ko"),
        ("en", "ko", "en"),
        ("xx", "ko", "ko"),
    ],
)
def test_the_language_is_the_chosen_one_or_that_of_the_browser(cookie, accepted, language):
    """A choice counts, then what the browser prefers, then English."""
    assert language_for(cookie, accepted, LANGUAGES) == language


def test_money_reads_as_people_write_it():
    """In the units of its currency, and in the way of the language."""
    assert money(12_000, "KRW", Words("ko")) == "12,000원"
    assert money(12_000, "KRW", Words("en")) == "₩12,000"
    assert money(-1_205, "EUR", Words("en")) == "€−12.05"
    assert money(1_205, "GBP", Words("en")) == "12.05 GBP"


def test_templates_refuse_a_name_that_is_not_given():
    """A page that forgets a value fails in its test; it does not show nothing."""
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()
