"""Ids that derive from the request, times as text, and the pure checks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.core.timestamps import rfc3339
from stockade.service.ids import TIME_DIGITS, derived_id, fingerprint_of, new_request_id, request_id_of
from stockade.shop.model import limits

ID = re.compile(r"[0-9a-f]{32}\Z")
KEY = "019e8a5b-3c7d-7000-8000-0123456789ab"  # a version-7 UUID


def test_a_request_id_tells_its_parts_apart():
    """Caller, method, route and key all count, and no shift of a letter between them makes the same id."""
    parts = ("u", "POST", "/v1/orders", "k")
    ids = {request_id_of(*parts), request_id_of("uP", "OST", "/v1/orders", "k")}
    ids |= {request_id_of(*(part + "x" if n == i else part for n, part in enumerate(parts))) for i in range(4)}
    assert len(ids) == 6
    assert all(ID.match(id_) for id_ in ids)
    assert request_id_of(*parts) == request_id_of(*parts)


def test_ids_stay_what_they_are():
    """Stored ids must be found again by the next version."""
    assert request_id_of("u", "POST", "/v1/orders", "k") == "bc8d8f4f1fe9161a3a5da6aeae263fcc"
    assert request_id_of("u", "POST", "/v1/orders", KEY) == "019e8a5b3c7da6172af96ec1163da12e"
    assert derived_id("expire", "o", 1) == "162b5ca2ae1bdf783c40f925c563c5ea"
    assert fingerprint_of({"b": 1, "a": [2]}) == "02d705cc41d881cbb9757b45f5284d10"


def test_the_time_of_a_key_leads_its_id():
    """Ids of version-7 UUIDs are in the order of their times; everything else still distinguishes them."""
    parts = ("u", "POST", "/v1/orders")
    ids = [request_id_of(*parts, f"{ms:08x}-{low:04x}-7abc-9def-0123456789ab") for ms in (1, 2) for low in (8, 9)]
    assert ids == sorted(ids)
    assert [id_[:TIME_DIGITS] for id_ in ids] == ["000000010008", "000000010009", "000000020008", "000000020009"]
    same_time = {KEY, KEY.upper(), KEY[:-1] + "c"}
    told_apart = {request_id_of(user, *parts[1:], key) for user in "uv" for key in same_time}
    assert len(told_apart) == len({id_[TIME_DIGITS:] for id_ in told_apart}) == 6
    assert {id_[:TIME_DIGITS] for id_ in told_apart} == {"019e8a5b3c7d"}
    assert all(ID.match(id_) for id_ in told_apart)


@pytest.mark.parametrize(
    "key",
    [
        KEY.replace("-7", "-4"),  # another version
        KEY.replace("-8000", "-c000"),  # another variant
        KEY.replace("-", ""),
        f"{KEY}0",
        f" {KEY}",
        f"{KEY}\n",
        f"urn:uuid:{KEY}",
        KEY.replace("019e", "019g"),
        KEY.replace("0", "\N{FULLWIDTH DIGIT ZERO}"),
    ],
)
def test_any_other_key_is_hashed_whole(key):
    """What is no version-7 UUID has no time to lead with."""
    parts = ("u", "POST", "/v1/orders", key)
    assert request_id_of(*parts) == derived_id("request", *parts)


def test_a_request_without_a_key_leads_with_its_time():
    """New ids differ, and are in the order of their times."""
    ids = [new_request_id(now_ms) for now_ms in (1, 1, 2, 1_763_000_000_000)]
    assert [int(id_[:TIME_DIGITS], 16) for id_ in ids] == [1, 1, 2, 1_763_000_000_000]
    assert len(set(ids)) == 4
    assert all(ID.match(id_) for id_ in ids)


@given(st.dictionaries(st.text(max_size=5), st.integers(-9, 9), max_size=5))
def test_the_order_of_members_means_nothing(body):
    """Two spellings of one JSON object have one fingerprint; other content has another."""
    turned = dict(reversed(body.items()))
    assert fingerprint_of(body) == fingerprint_of(turned)
    assert fingerprint_of(body) != fingerprint_of({**body, "more": 1, "": 10})


def test_a_fingerprint_of_what_json_cannot_hold_is_an_error():
    """Better an error than two contents with one fingerprint."""
    with pytest.raises(TypeError):
        fingerprint_of(object())


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (10**30, "9999-12-31T23:59:59.999Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times(at_ms, text):
    """Milliseconds stay milliseconds, and no number raises."""
    assert rfc3339(at_ms) == text


def test_checks_at_their_bounds():
    """The bounds are allowed, one beyond is not."""
    assert limits.amount_problem("amount", 1) is limits.amount_problem("amount", limits.MAX_AMOUNT) is None
    assert limits.amount_problem("amount", 0)
    assert limits.amount_problem("amount", limits.MAX_AMOUNT + 1)
    assert limits.quantity_problem("quantity", limits.MAX_QUANTITY) is None
    assert limits.quantity_problem("quantity", 0)
    assert limits.text_problem("reason", "", 3, least=0) is None
    assert limits.text_problem("name", "", 3)
    assert limits.text_problem("name", "four", 3)
    assert limits.id_problem("id", "주문 1") is None
    assert limits.id_problem("id", "x" * 64) is None
    assert "65" in limits.id_problem("id", "x" * 65)


def test_repeated_skus_are_named():
    """All of them, once each."""
    lines = [(sku, 1) for sku in ("b", "a", "b", "c", "a", "b")]
    assert limits.lines_problem(lines).endswith("repeated: a, b")
    assert limits.lines_problem(lines[:2]) is None


def test_the_largest_order_fits_the_database():
    """The bounds keep every sum inside 64 bits, and what JSON readers take for exact inside 53."""
    assert limits.MAX_AMOUNT * limits.MAX_QUANTITY < 2**63
    assert limits.MAX_AMOUNT < 2**53
