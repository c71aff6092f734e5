"""Right histories pass every checker."""

import pytest

from stockade.lab.checkers import judge
from tests.lab.checkers.good_histories import good


@pytest.mark.parametrize("seed", range(30))
def test_right_histories_pass(seed):
    """What a right system could have made has no violation."""
    assert judge(good(seed)) == []
