"""The code blocks of README and docs, as what they are: file, line, language, text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_IN_HTML = re.compile(r"""\s(?:src|srcset|href)="([^"]+)\"""")
# A comment right before a block: <!-- not run: needs Spark -->
_NOT_RUN = re.compile(r"<!-- not run: (.{8,}?) -->\s*")


@dataclass(frozen=True)
class Block:
    """One code block.

    :param page: path of the page, relative to the repository
    :param line: of its fence, from 1
    :param language: what stands after the fence
    :param not_run: why it can't be run, as the page says; ``None``: it can
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yield all blocks in the order of the pages; Sphinx's own directives are none, its build holds those."""
    for path in PAGES:
        page, reason = str(path.relative_to(ROOT)), None
        for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
            if token.type == "html_block":
                found = _NOT_RUN.fullmatch(token.content)
                reason = found[1] if found else None
                continue
            if token.type == "code_block":
                raise ValueError(f"{page}:{_line(token)}: an indented block; fence it and name its language")
            if token.type == "fence" and not token.info.startswith("{"):
                yield Block(page, _line(token), token.info.strip(), token.content, reason)
            reason = None


def links(path: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page lead."""
    for token in MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8")):
        for found in _IN_HTML.finditer(token.content if token.type.startswith("html") else ""):
            yield found[1]
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                yield str(target)


def _line(token: object) -> int:
    where = getattr(token, "map", None)
    return int(where[0]) + 1 if where else 0
