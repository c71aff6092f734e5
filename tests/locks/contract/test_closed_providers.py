"""The error of a closed provider; what its calls do is in the contract (`ClosingContract`)."""

from stockade.locks import LockUnavailable, ProviderClosed


def test_it_is_no_outage():
    """Waiting does not heal it, so it is not LockUnavailable."""
    assert not issubclass(ProviderClosed, LockUnavailable)
