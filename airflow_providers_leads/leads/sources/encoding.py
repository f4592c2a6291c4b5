"""Bytes of a text file as UTF-8, whatever the program that wrote them thought of."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import IO, Final

from airflow_providers_leads.leads.files.staging import StagingError

CHUNK: Final = 1 << 20
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_TEXT: Final = {
    b"\x1f\x8b": "gzip: give it a name that ends in .gz, such as leads.csv.gz",
    b"PK\x03\x04": "a workbook of Excel, or a zip archive: give format='excel', or unpack it",
    b"\xd0\xcf\x11\xe0": "an old workbook of Excel: give format='excel'",
    b"PAR1": "Parquet: give format='parquet'",
}
"""How files that are no text begin, whatever their names say → what they are."""
# What programs write where nothing else is chosen: Windows, old Macs, and the command line of Windows.
_OLD: Final = ("cp1252", "mac_roman", "cp850")
_LIKELY: Final[Mapping[str, float]] = {
    **dict.fromkeys("’‘“”„–—…€«»°§²³®™\u00a0´·", 0.7),
    **dict.fromkeys("ÉÈÊËÁÀÂÃÅÇÑÍÌÎÏÓÒÔÕØÚÙÛÝÆŒŠŽ", 0.8),
    **dict.fromkeys("êëáàâãåçñíìîïóòôõøúùûýÿæœšž", 0.9),
    **dict.fromkeys("äöüÄÖÜßéè", 1.0),
}
"""Letters beyond ASCII → how likely they are meant."""


def utf8(file: IO[bytes], path: object, encoding: str | None = None) -> Iterator[bytes]:
    """Yield a text file as pieces of UTF-8 without a byte order mark; characters may not be split between them.

    Without an encoding it is found: by the mark, as UTF-8, or by which old one makes letters of the bytes.

    :param file: open for reading
    :param path: for messages
    :param encoding: of the file; default found
    :raises StagingError: naming the byte and the line that can't be read
    :raises ValueError: for an encoding that Python doesn't know
    """
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(
                f"encoding: Python knows none named {encoding!r}; usual are utf-8, cp1252, utf-16"
            ) from None
    data = file.read(CHUNK)
    if kind := next((kind for begin, kind in _NO_TEXT.items() if data.startswith(begin)), None):
        raise StagingError(f"{path} is no text but {kind}.")
    chosen, data = _begin(data, encoding)
    reader = _Reader(path, chosen, fixed=encoding is not None)
    while True:
        more = file.read(CHUNK) if data else b""
        yield from filter(None, (reader.feed(data, final=not more),))
        if not more:
            return
        data = more


def _begin(data: bytes, encoding: str | None) -> tuple[str, bytes]:
    """Return the encoding as far as the beginning tells it, and the data without its mark."""
    marked = next(((name, data[len(mark) :]) for mark, name in _MARKS if data.startswith(mark)), None)
    if marked and (encoding is None or codecs.lookup(encoding).name.startswith("utf")):
        return marked
    if encoding is not None:
        return encoding, data
    # Every other byte of Latin letters in UTF-16 is zero.
    sample = data[:4096]
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[::2])):
        if len(zeros) > 1 and zeros.count(0) > len(zeros) * 0.4:
            return name, data
    return "utf-8", data


class _Reader:
    def __init__(self, path: object, encoding: str, *, fixed: bool) -> None:
        self.path, self.encoding, self.fixed = path, encoding, fixed
        self._decoder: codecs.IncrementalDecoder | None = None
        self._rest = b""
        self._bytes = self._lines = 0
        self._ascii = True
        if codecs.lookup(encoding).name != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)()

    def feed(self, data: bytes, *, final: bool) -> bytes:
        if self._decoder is not None:
            return self._recoded(data, final)
        data = self._rest + data
        try:
            words, used = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError as error:
            old = self._old_encoding(data, error.start)
            if old is None:
                raise self._unreadable(data, error.start) from None
            self.encoding, self._rest = old, b""
            self._decoder = codecs.getincrementaldecoder(old)()
            return self._recoded(data, final)
        self._ascii = self._ascii and len(words) == used
        self._rest = data[used:]
        self._count(data[:used])
        return data[:used]

    def _old_encoding(self, data: bytes, start: int) -> str | None:
        """Return the encoding in which the first byte beyond ASCII and those after it are letters."""
        if self.fixed or not self._ascii or not data[:start].isascii():
            return None
        high = bytes(byte for byte in data[start:] if byte > 0x7F)
        scores: dict[str, float] = {}
        for name in _OLD:
            letters = high.decode(name, "replace")
            if sum(letter in _LIKELY for letter in letters) > 0.9 * len(letters):
                scores[name] = sum(_LIKELY.get(letter, 0.0) for letter in letters)
        return max(scores, key=lambda name: scores[name], default=None)

    def _recoded(self, data: bytes, final: bool) -> bytes:
        assert self._decoder is not None
        waiting = self._decoder.getstate()[0]
        try:
            words = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            raise self._unreadable(waiting + data, error.start) from None
        self._count(data)
        return words.encode()

    def _count(self, data: bytes) -> None:
        self._bytes += len(data)
        self._lines += data.count(b"\n")

    def _unreadable(self, data: bytes, start: int) -> StagingError:
        line = self._lines + data.count(b"\n", 0, start) + 1
        byte = self._bytes + start + 1
        way = (
            "Give the encoding that it has."
            if self.fixed
            else "Give encoding, such as cp1252 for a file of Excel on Windows, or save it as UTF-8."
        )
        return StagingError(
            f"{self.path}: line {line}, byte {byte} of the file (0x{data[start]:02X}) is not {self.encoding}. {way}"
        )
