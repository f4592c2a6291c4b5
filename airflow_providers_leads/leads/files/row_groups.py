"""Parquet files put end to end without reading their rows.

A Parquet file is its row groups followed by a footer that says where they are. The footer is a Thrift structure in the
compact protocol (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift): numbered fields,
of which only the offsets, the row count and the list of row groups concern us. The others are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import IO, Any, Final

_MAGIC: Final = b"PAR1"
_COPIED_AT_ONCE: Final = 1 << 20
# The protocol's numbers for kinds of values. A boolean field is its kind, a boolean in a list is a byte.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_WHOLE: Final = (_I16, _I32, _I64)

Struct = dict[int, tuple[int, Any]]
"""Field number → kind and value; the value of a list is the kind of its items and the items."""

# Field numbers of the format, by structure.
_NUM_ROWS, _ROW_GROUPS = 3, 4  # FileMetaData
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7  # RowGroup
_CHUNK_OFFSET, _META_DATA = 2, 3  # ColumnChunk
_PAGE_INDEX: Final = (4, 5, 6, 7)  # ColumnChunk: where the optional page indexes are, which hold offsets themselves
_PAGE_OFFSETS: Final = (9, 10, 11, 14)  # ColumnMetaData: data, index and dictionary pages, Bloom filter


def concatenate(files: Sequence[Any], target: IO[bytes]) -> None:
    """Write Parquet files of one schema as one file that has the row groups of all.

    The schema and the metadata are the first file's.

    :param files: path objects of one or more unencrypted files
    :param target: open for writing; need not be able to seek
    """
    target.write(_MAGIC)
    position = len(_MAGIC)
    whole: Struct = {}
    for path in files:
        with path.open("rb") as file:
            footer, end = _footer(file)
            file.seek(len(_MAGIC))
            _copy(file, target, end - len(_MAGIC))
        _, groups = footer[_ROW_GROUPS][1]
        for group in groups:
            _move(group, position - len(_MAGIC))
        position += end - len(_MAGIC)
        if not whole:
            whole = footer
            continue
        whole[_NUM_ROWS] = (_I64, whole[_NUM_ROWS][1] + footer[_NUM_ROWS][1])
        whole[_ROW_GROUPS] = (_LIST, (_STRUCT, whole[_ROW_GROUPS][1][1] + groups))
    for number, group in enumerate(whole[_ROW_GROUPS][1][1]):
        if _ORDINAL in group:
            # Optional, and too small a number for more groups than this.
            group.pop(_ORDINAL) if number > 0x7FFF else group.update({_ORDINAL: (_I16, number)})
    out = BytesIO()
    _write_struct(out, whole)
    target.write(out.getvalue() + len(out.getvalue()).to_bytes(4, "little") + _MAGIC)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        data = source.read(min(size, _COPIED_AT_ONCE))
        target.write(data)
        size -= len(data)


def _footer(file: IO[bytes]) -> tuple[Struct, int]:
    """Return a file's footer, and the offset at which it begins."""
    end = file.seek(0, 2) - 8
    file.seek(end)
    tail = file.read(8)
    start = end - int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or start < len(_MAGIC):
        raise ValueError("not a Parquet file, or one with an encrypted footer")
    file.seek(start)
    return _read_struct(BytesIO(file.read(end - start))), start


def _move(group: Struct, distance: int) -> None:
    """Change a row group's offsets as if the file had so many more bytes before it."""
    _shift(group, (_GROUP_OFFSET,), distance)
    for chunk in group[_COLUMNS][1][1]:
        for number in _PAGE_INDEX:
            chunk.pop(number, None)
        _shift(chunk, (_CHUNK_OFFSET,), distance)
        _shift(chunk[_META_DATA][1], _PAGE_OFFSETS, distance)


def _shift(struct: Struct, numbers: Sequence[int], distance: int) -> None:
    for number in numbers:
        kind, offset = struct.get(number, (_I64, 0))
        # Nothing is at 0 but the magic word: writers put it where they have no offset.
        if offset:
            struct[number] = (kind, offset + distance)


def _read_varint(file: BytesIO) -> int:
    value = shift = 0
    while True:
        (byte,) = file.read(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7


def _read_whole(file: BytesIO) -> int:
    value = _read_varint(file)
    return (value >> 1) ^ -(value & 1)


def _read_struct(file: BytesIO) -> Struct:
    struct: Struct = {}
    number = 0
    while head := file.read(1)[0]:
        number = number + (head >> 4) if head >> 4 else _read_whole(file)
        kind = head & 15
        struct[number] = (kind, None if kind in (_TRUE, _FALSE) else _read(file, kind))
    return struct


def _read(file: BytesIO, kind: int) -> Any:
    if kind in _WHOLE:
        return _read_whole(file)
    if kind == _BINARY:
        return file.read(_read_varint(file))
    if kind == _STRUCT:
        return _read_struct(file)
    if kind in (_LIST, _SET):
        (head,) = file.read(1)
        size = head >> 4 if head >> 4 < 15 else _read_varint(file)
        return head & 15, [_read(file, head & 15) for _ in range(size)]
    if kind in (_TRUE, _FALSE, _BYTE, _DOUBLE):
        return file.read(8 if kind == _DOUBLE else 1)
    raise ValueError(f"a Parquet footer has no values of kind {kind}")


def _write_varint(file: BytesIO, value: int) -> None:
    while value > 0x7F:
        file.write(bytes((value & 0x7F | 0x80,)))
        value >>= 7
    file.write(bytes((value,)))


def _write_whole(file: BytesIO, value: int) -> None:
    _write_varint(file, (value << 1) ^ (value >> 63))


def _write_struct(file: BytesIO, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        step = number - before
        file.write(bytes(((step << 4 | kind) if step < 16 else kind,)))
        if step > 15:
            _write_whole(file, number)
        if kind not in (_TRUE, _FALSE):
            _write(file, kind, value)
        before = number
    file.write(b"\0")


def _write(file: BytesIO, kind: int, value: Any) -> None:
    if kind in _WHOLE:
        _write_whole(file, value)
    elif kind == _BINARY:
        _write_varint(file, len(value))
        file.write(value)
    elif kind == _STRUCT:
        _write_struct(file, value)
    elif kind in (_LIST, _SET):
        item_kind, items = value
        file.write(bytes((min(len(items), 15) << 4 | item_kind,)))
        if len(items) > 14:
            _write_varint(file, len(items))
        for item in items:
            _write(file, item_kind, item)
    else:
        file.write(value)
