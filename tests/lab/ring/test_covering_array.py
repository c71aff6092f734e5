"""The covering array: every possible pair occurs, nothing impossible does, and a seed gives the same rows."""

import itertools

import pytest

from stockade.lab.ring.covering_array import Factors, covering_array

SINGLE = {
    "database": ("postgres", "mariadb", "sqlite"),
    "strategy": ("optimistic", "pessimistic", "advisory", "redis-pubsub", "sequencer"),
    "workload": ("hot", "carts", "charges"),
}
FAULTS = ("none", "crash", "pause", "database-kill", "redis-restart", "latency")


def possible(row):
    """No server to kill under SQLite, no Redis to restart but under its own strategy."""
    if row["database"] == "sqlite" and (row["fault"] == "database-kill" or row["strategy"] == "advisory"):
        return False
    return row["fault"] != "redis-restart" or row["strategy"] == "redis-pubsub"


def factors(at_most):
    """The factors of these tests; `none` stands alone."""
    return Factors(SINGLE, "fault", FAULTS, at_most, possible, lambda *pair: "none" not in pair)


def pairs_of_full_product():
    """Every pair that some possible combination of the full product has, found without the code under test."""
    names = (*SINGLE, "fault")
    found = set()
    for values in itertools.product(*SINGLE.values(), FAULTS):
        if possible(dict(zip(names, values, strict=True))):
            found |= {frozenset(pair) for pair in itertools.combinations(zip(names, values, strict=True), 2)}
    return found


def covered(rows):
    """The pairs that occur in rows, faults of one row not among each other."""
    return {pair for row in rows for pair in row.pairs()}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_most", [1, 2, 3])
def test_every_possible_pair_is_covered_and_no_other(at_most, seed):
    """Each pair that can occur does; no row contains what is impossible; far fewer rows than the product of 270."""
    rows = covering_array(factors(at_most), seed)
    assert covered(rows) == pairs_of_full_product()
    for row in rows:
        assert 1 <= len(row.several) <= at_most
        assert len(set(row.several)) == len(row.several)
        assert all(possible(dict((*row.single, value))) for value in row.several)
        assert len(row.several) == 1 or ("fault", "none") not in row.several
    assert len(rows) <= {1: 34, 2: 24, 3: 22}[at_most]


def test_without_a_row_a_pair_is_missing():
    """The control: the array is not so large that rows could be left out unnoticed."""
    rows = covering_array(factors(1), 1)
    everything = pairs_of_full_product()
    needed = [row for row in rows if covered([each for each in rows if each is not row]) != everything]
    assert len(needed) > len(rows) / 2


def test_a_seed_repeats_its_rows_and_another_gives_others():
    """Deterministic for a seed."""
    assert covering_array(factors(2), 7) == covering_array(factors(2), 7)
    assert covering_array(factors(2), 7) != covering_array(factors(2), 8)


def test_more_faults_in_a_row_need_fewer_rows():
    """Several faults in one row cover several pairs with its strategy."""
    sizes = [len(covering_array(factors(at_most), 1)) for at_most in (1, 2, 3)]
    assert sizes[0] > sizes[1] > sizes[2]
