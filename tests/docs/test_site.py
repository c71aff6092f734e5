"""The documentation site: it builds strictly, has no dead link, loads nothing from outside, and names every page."""

import re
from pathlib import Path

import pytest

from tests.docs.site import ROOT, Page, Reader, build, dead_links, navigation, outside, pages


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The result of the builder and the site, built once."""
    return build(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def found(built):
    """The pages of the site by path."""
    return pages(built[1])


def test_the_site_builds_strictly(built):
    """The builder finds no dead link and no missing page, and every page of docs/ becomes a page of the site."""
    result, site = built
    assert result.returncode == 0, result.stdout + result.stderr
    for source in (ROOT / "docs").rglob("*.md"):
        name = "index.md" if source.name == "README.md" else source.name
        assert (site / source.parent.relative_to(ROOT / "docs") / name).with_suffix(".html").is_file(), source


def test_no_link_is_dead(found):
    """Every link inside the site leads to a page, and to an anchor on it, those of the API reference too."""
    assert not dead_links(found)


def test_a_dead_link_is_found(tmp_path):
    """The search for dead links finds a missing page and a missing anchor."""
    page = Page((tmp_path / "a.html").resolve())
    Reader(page).feed('<a href="b.html">1</a><a href="#x">2</a><a href="#y" id="y">3</a>')
    assert [link for _, link in dead_links({page.path: page})] == ["b.html", "#x"]


def test_a_page_loads_nothing_from_outside(built, found):
    """Scripts, styles, images and fonts of every page come from the site itself."""
    loaded = [(page.path.name, address) for page in found.values() for address in page.loads if outside(address)]
    texts = {page.path.name: "".join(page.styles) for page in found.values()}
    texts |= {path.name: path.read_text() for kind in ("css", "svg") for path in built[1].rglob(f"*.{kind}")}
    fetched = r"""(?:url\(\s*['"]?|@import\s+['"]|(?:xlink:)?href=['"])((?:https?:)?//[^'")]+)"""
    loaded += [(name, address) for name, text in texts.items() for address in re.findall(fetched, text)]
    assert not loaded
    assert len(found) > 40


@pytest.mark.parametrize("trigger", ['class="mermaid"', 'data-md-component="source"'])
def test_a_page_does_not_make_the_scripts_load_from_outside(found, trigger):
    """The site's own script would fetch a drawing library, or figures of a repository, for such an element."""
    assert not [path.name for path in found if trigger in path.read_text()]


def test_what_is_loaded_from_outside_is_found():
    """The search for outside loads sees scripts, styles, images and fonts, and passes over plain links."""
    page = Page(Path("a.html"))
    Reader(page).feed(
        '<script src="https://e.org/a.js"></script><link rel="stylesheet" href="//e.org/a.css"><a href="https://e.org">'
        '<img src="/a.png"><img srcset="https://e.org/a.png 2x"><link rel="canonical" href="https://e.org/">'
    )
    assert [outside(each) for each in page.loads] == [True, True, False, True]


def test_the_navigation_names_every_page():
    """Each page of docs/ is in the navigation once, and the navigation names no other."""
    named = navigation()
    assert sorted(named) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
