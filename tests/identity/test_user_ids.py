"""User ids: ordinary names stay as they are, every other one becomes a hash, and no two become one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.identity import user_id_of
from stockade.identity.user_ids import addressed_user_id

ORDINARY = [
    "ann",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "google-oauth2|103547991597142817347",
    "samlp|acme|ann@example.com",
    "ann.o+shop@mail.example.com",
    "248289761001",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "f:3f2504e0-4f89-41d3-9a0c-0305e82c3301:ann",
    "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    "client-id@clients",
    "system:serviceaccount:shop:checkout",
    "x" * 64,
]
OTHERS = [
    "repo:octo-org/octo-repo:ref:refs/heads/main",
    "spiffe://example.org/ns/shop/sa/checkout",
    "https://id.example/users/1",
    "o'brien@example.com",
    "김철수",
    "café",
    "cafe\u0301",
    "a b",
    " ",
    ".",
    "..",
    "x" * 65,
    "x" * 255,
    "한" * 255,
    "\U0001f9e6",
    "sha256:" + "A" * 43,
    "sha256:",
    "50%",
    "a?b#c",
]


@pytest.mark.parametrize("subject", ORDINARY)
def test_an_ordinary_subject_is_its_own_id(subject):
    """What providers mostly issue is readable everywhere."""
    assert user_id_of(subject) == addressed_user_id(subject) == subject


@pytest.mark.parametrize("subject", OTHERS)
def test_any_other_subject_has_a_hash(subject):
    """It fits the columns, is safe in paths, and is the same when a client sends the id instead of the subject."""
    user_id = user_id_of(subject)
    assert re.fullmatch(r"sha256:[A-Za-z0-9_-]{43}", user_id)
    assert addressed_user_id(user_id) == user_id
    assert user_id != subject


def test_the_rule_is_the_documented_one():
    """Another program computes the same id: a fixed example."""
    assert user_id_of("https://id.example/users/1") == "sha256:2YcQoyG8ThJJ9eiHEM-D8i4w4gQUGiX6IuaDxyhnKCQ"


@given(st.sets(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=80), min_size=2))
def test_two_subjects_are_two_users(subjects):
    """No subject can take the id of another one, also when it looks like an id."""
    taken = {*subjects, *(user_id_of(each) for each in subjects)}
    assert len({user_id_of(each) for each in taken}) == len(taken)


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\n", "\x00", "\x7f", "a\x85b", "\ud800"])
def test_a_subject_that_nobody_has(subject):
    """An empty, a longer and an unprintable one is refused."""
    with pytest.raises(ValueError, match="a user"):
        user_id_of(subject)
