"""What is said of a file of leads that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_providers_leads.leads.files.staging import StagingError, open_parquet


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"email;name\nann@example.org;Ann\n", "CSV or another text"),
        (b"\xef\xbb\xbfemail,name\n", "CSV or another text"),
        (b'[{"email": "ann@example.org"}]', "looks like JSON"),
        (b' \n{"email": "ann@example.org"}\n', "looks like JSON"),
        (b"PK\x03\x04rest", "a spreadsheet"),
        (b"\x1f\x8brest", "compressed"),
        (b"\x00\x01\x02\x03", "something else"),
        (b"", "it is empty"),
        (b"PAR1 and no end", "its end is missing"),
    ],
)
def test_it_says_what_the_file_looks_like(content: bytes, said: str, tmp_path: Path) -> None:
    """Row 57."""
    (tmp_path / "leads.parquet").write_bytes(content)
    with pytest.raises(StagingError, match=f"is not a readable Parquet file: .*{said}") as caught:
        open_parquet(str(tmp_path / "leads.parquet"))
    assert "ann@" not in str(caught.value)
    assert ("Run the task that writes it again" in str(caught.value)) is (said in ("it is empty", "its end is missing"))
