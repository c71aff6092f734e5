"""The provider of docs/how-to/write-a-lock-provider.md, run as the page shows it, keeps the contract it claims."""

import re
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
