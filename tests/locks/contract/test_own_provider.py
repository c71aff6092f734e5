"""The provider of docs/how-to/write-a-lock-provider.md, run as the page shows it, keeps the contract it claims."""

import re
import unittest
from pathlib import Path

import pytest

from stockade.locks.testing import LockContract

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "write-a-lock-provider.md"
NAMES = {"__name__": "provider_of_the_page"}
for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
    exec(block, NAMES)


class TestProviderOfThePage(NAMES["TestDictLocks"]):
    """For threads, as the page has it, and for asyncio."""

    @pytest.fixture(autouse=True, params=["DictLocks", "AioDictLocks"])
    def _provider(self, request):
        NAMES["HELD"].clear()
        self.make_provider = NAMES[request.param]


def test_the_page_inherits_the_public_contract():
    """The class of the page is a `LockContract`."""
    assert issubclass(NAMES["TestDictLocks"], LockContract)


def test_unittest_runs_the_contract_too():
    """A `TestCase` gets the tests as pytest does; one that does not apply is skipped."""

    class Case(NAMES["TestDictLocks"], unittest.TestCase):
        pass

    names = ["test_try_and_timeout", "test_first_come_first_served"]
    result = unittest.TestResult()
    unittest.TestSuite(map(Case, names)).run(result)
    assert (result.testsRun, len(result.skipped), result.wasSuccessful()) == (2, 1, True)
