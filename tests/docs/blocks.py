"""The code blocks of a page: its Python as one program, and its other blocks by language."""

import re
import sys
import types

from tests.docs.site import ROOT

DOCS = ROOT / "docs"


def blocks(page, language):
    """The texts of all fenced blocks of this language in a page (a path below docs/, or its text)."""
    text = page if "\n" in page else (DOCS / page).read_text()
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def program(page, *, name, only=None):
    """Run the Python blocks of a page as one module and return it.

    Args:
        page: its path below docs/.
        name: of the module; it is importable under that name from then on.
        only: numbers of the blocks to run; default: all.
    """
    found = blocks(page, "python")
    source = "\n".join(text for number, text in enumerate(found) if only is None or number in only)
    module = types.ModuleType(name)
    module.__file__ = str(DOCS / page)
    sys.modules[name] = module
    exec(compile(source, f"{page} (python blocks)", "exec"), vars(module))
    return module
