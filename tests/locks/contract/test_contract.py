"""Every provider of ours, on both faces, keeps the public contract."""

import pytest

from stockade.locks.testing import LockContract


class TestEveryProvider(LockContract):
    """The tests are inherited."""

    @pytest.fixture(autouse=True)
    def _subject(self, subject):
        self.make_provider = subject.make
        vars(self).update(subject.features)
