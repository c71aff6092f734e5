"""A built documentation site, as parsed pages: what each loads, where its links go, which anchors it has."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).parents[2]

LOADS = {  # elements that make a browser fetch something, with the attributes that name it
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "link": ("href",),
}
LINKS_THAT_LOAD = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload", "manifest"}


@dataclass
class Page:
    """One HTML page of the site."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Fills a `Page`."""

    def __init__(self, page):
        super().__init__()
        self.page = page
        self.in_style = False

    def handle_starttag(self, tag, attrs):
        """Collect ids, links, and what is fetched."""
        named = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        if "id" in named:
            self.page.ids.add(named["id"])
        if "style" in named:
            self.page.styles.append(named["style"])
        if tag == "a" and "href" in named:
            self.page.links.append(named["href"])
        if tag == "link" and not LINKS_THAT_LOAD & set(named.get("rel", "").split()):
            return
        self.page.loads += [named[name] for name in LOADS.get(tag, ()) if named.get(name)]

    def handle_data(self, data):
        """Collect the text of inline style sheets."""
        if self.in_style:
            self.page.styles.append(data)


def build(folder):
    """Build the site inside `folder`, strictly; the result of the builder and the folder of the site."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "src").symlink_to(ROOT / "src")
    command = [Path(sys.executable).parent / "zensical", "build", "--strict", "--clean"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    return built, folder / "site"


def pages(site):
    """Every page of a built site by its path."""
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Page(path)
        Reader(found[path]).feed(path.read_text())
    return found


def outside(address):
    """Whether a browser would leave the site for this address."""
    return bool(urlsplit(address).netloc)


def dead_links(found):
    """Links inside the site, as (page, link), whose page or anchor is not there."""
    dead = []
    for page in found.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or page.path.name == "404.html":
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            target = target / "index.html" if target.is_dir() else target
            gone = target not in found and not target.is_file()
            if gone or (parts.fragment and target in found and unquote(parts.fragment) not in found[target].ids):
                dead.append((page.path.name, link))
    return dead


def navigation():
    """The files that the navigation of mkdocs.yml names."""

    def files(node):
        if isinstance(node, str):
            return [node]
        return [path for each in (node if isinstance(node, list) else node.values()) for path in files(each)]

    return files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
