"""Looks at the documentation as a site: no link within it is dead, and its search finds what it has; ``make docs``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chromium import NEED, chromium

SEARCHED = {"watermark": "incremental.html", "suppressions": "upsert.html", "unmask": "runs.html"}
"""Word → a page that its search must lead to."""


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of an element."""
        values = dict(attrs)
        self.names |= {value for name in ("id", "name") if (value := values.get(name))}
        self.links += [value for name in ("href", "src", "srcset") if (value := values.get(name)) is not None]


def dead_links(site: Path) -> Iterator[str]:
    """Yield each link within a site that leads nowhere, with its page."""
    pages = {file: Page(file) for file in sorted(site.rglob("*.html"))}
    for file, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            fragment = unquote(parts.fragment)
            missing = target in pages and fragment and fragment not in pages[target].names
            if not target.exists() or missing:
                yield f"{file.relative_to(site)}: {link}"


def search_failures(site: Path) -> Iterator[str]:
    """Yield what is wrong with the search, as a reader's browser runs it."""
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        for word, page in SEARCHED.items():
            browser.open(f"{(site / 'search.html').as_uri()}?q={word}")
            browser.wait_for("document.querySelector('.search-summary')?.textContent.includes('finished')")
            found = browser.value("[...document.querySelectorAll('#search-results li a')].map(a => a.href).join(' ')")
            if page not in found:
                yield f"search for {word!r} does not lead to {page}"


def main(site: Path) -> int:
    """Return 0 when all is well."""
    wrong = list(dead_links(site.resolve()))
    if shutil.which("chromium") or os.environ.get("CI") == "true":
        wrong += search_failures(site.resolve())
    else:
        sys.stderr.write(f"The search was not tried. {NEED}.\n")
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
