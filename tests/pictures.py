"""The pictures of pages in README and docs: ``make pictures`` takes them, and says what each showed.

A test that has such a page open calls :func:`keep`. It takes the picture when asked to, and else fails when the page no
longer says what the picture shows.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

from chromium import Browser, chromium
from PIL import Image
from PIL.PngImagePlugin import PngInfo

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
TAKE = "LEADS_TAKE_PICTURES"
_SAYS = "Description"
_COLOURS = 96
"""Of a palette: pages have few, and a picture is a third as large as with all shades of their letters' edges."""


def keep(browser: Browser, name: str) -> None:
    """Take a page's picture when :data:`TAKE` is set, else compare what the page says with what its picture shows.

    :param name: of the file, without its ending
    :raises AssertionError: when the picture shows something else
    """
    file = IMAGES / f"{name}.png"
    if os.environ.get(TAKE):
        take(browser, file)
        return
    assert file.is_file(), f"{file.name} is missing: run make pictures"
    assert said_in(file) == said(browser), f"the page is no longer what {file.name} shows: run make pictures"


def take(browser: Browser, file: Path, most: int = 1_300) -> None:
    """Write a picture of a page.

    :param most: height in pixels that is kept at most
    """
    height = min(int(browser.value("document.documentElement.getBoundingClientRect().height")), most)
    width = int(browser.value("innerWidth"))
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    shot = browser.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
    picture = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    says = PngInfo()
    says.add_itxt(_SAYS, said(browser), zip=True)
    _with_few_colours(picture).save(file, optimize=True, pnginfo=says)


def _with_few_colours(picture: Image.Image) -> Image.Image:
    # A quantizer of its own mind would tint the large areas: what most pixels have stays as it is.
    often = sorted(picture.getcolors(1 << 24) or (), reverse=True)[:_COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in often for part in colour])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def said(browser: Browser) -> str:
    """Return what a page says, whatever its lines break at."""
    return " ".join(browser.text().split())


def said_in(file: Path) -> str:
    """Return what the page said when its picture was taken."""
    with Image.open(file) as picture:
        return str(picture.info.get(_SAYS, ""))


def main(demo: Path) -> None:
    """Take the pictures of the report of the demo's first run, light and dark."""
    report = min(demo.resolve().rglob("*.html"), key=lambda path: (path.name == "index.html", path.stat().st_mtime))
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        browser.size(1100)
        for scheme in ("light", "dark"):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.open(report.as_uri())
            take(browser, IMAGES / f"sync-report-{scheme}.png", 1_560)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
