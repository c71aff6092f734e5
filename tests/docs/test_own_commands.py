"""docs/own-commands.md: every titled block is a part of the file of the example that it names, which is tested."""

import re

from tests.docs.blocks import DOCS
from tests.docs.site import ROOT

EXAMPLE = ROOT / "examples" / "coupons"
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def test_the_blocks_are_those_of_the_example():
    """A block that is changed in one place only is found."""
    blocks = TITLED.findall((DOCS / "own-commands.md").read_text())
    assert len(blocks) > 10
    assert [title for title, text in blocks if text not in (EXAMPLE / title).read_text()] == []


def test_the_files_that_the_page_lists_are_there():
    """The overview of the project names every file of the example."""
    text = (DOCS / "own-commands.md").read_text()
    ours = {each.name for each in EXAMPLE.rglob("*.py")}
    assert {name for name in ours if name not in text} == set()
