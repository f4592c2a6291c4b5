"""What ``make docs`` looks for in the site that it has made."""

from __future__ import annotations

from pathlib import Path

from built_site import dead_links


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="sub/b.html#there">1</a><a href="sub/b.html#gone">2</a><a href="#here">3</a><p id="here">'
        '<a href="https://example.org/x">4</a><img src="no.png"><a href="mailto:a@b.c">5</a><a href="sub/">6</a>'
    )
    (tmp_path / "sub" / "b.html").write_text('<h1 id="there"></h1><a href="../a.html">7</a><a href="c.html#x">8</a>')
    assert list(dead_links(tmp_path)) == ["a.html: sub/b.html#gone", "a.html: no.png", "sub/b.html: c.html#x"]
