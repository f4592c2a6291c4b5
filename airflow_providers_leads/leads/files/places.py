"""Where files are: paths taken as the names they are, never as patterns, and files that appear only when complete."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from errno import EACCES, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from upath import UPath

from airflow_providers_leads.leads.files.stores import (
    STORES,
    StagingError,
    is_store_error,
    local_problem,
    store_problem,
)

__all__ = [
    "WRITER", "StagingError", "Writer", "appearing", "as_path", "at_hand", "check_writable", "files_below",
    "has_folders", "is_complete", "is_folder", "is_local", "local_name", "move_into_place", "open_file",
    "parquet_below", "parts_of", "publish", "remove",
]  # fmt: skip

_PARQUET: Final = ".parquet"
_HIDDEN: Final = (".", "_")
# Stands in a folder of a store, which has no step that moves all parts at once, until the last of them is there.
_INCOMPLETE: Final = "_incomplete"
_BLOCK: Final = 8 * 2**20
_IN_THE_WAY: Final = (EEXIST, EISDIR, ENOTDIR, ENOTEMPTY)


class Writer(NamedTuple):
    """The task on whose behalf files are written.

    :param run: names the run among all of all DAGs
    :param task: names the task instance in it
    """

    run: str
    task: str


WRITER: ContextVar[Writer | None] = ContextVar("WRITER", default=None)
"""Who writes, ``None`` outside of a task."""


def is_local(path: Any) -> bool:
    """Tell whether a path is a file on this machine."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def local_name(path: Any) -> str:
    """Return the operating system's name of a local path."""
    return str(path.path) if hasattr(path, "path") else str(path)


def has_folders(path: Any) -> bool:
    """Tell whether folders must be made at a path before files are.

    Stores of objects have none, and a client that is told to make one makes the bucket, whatever its name.
    """
    return getattr(path, "protocol", "") not in STORES


def as_path(uri: Any) -> Any:
    """Return a path object for a URI; path objects (such as Airflow's ObjectStoragePath) pass through.

    :raises TypeError: for the URI of a store with an Airflow connection, which only Airflow's path objects open
    """
    if not isinstance(uri, str):
        return uri
    scheme, _, rest = uri.partition("://")
    if scheme in STORES and "@" in rest.partition("/")[0]:
        # The store would look for a bucket of that name, and a file of nobody's is easily taken for none.
        raise TypeError(f"{uri} names a connection: it must be opened by Airflow's ObjectStoragePath")
    return UPath(uri)


def _one_by_one(path: Any) -> bool:
    """Tell whether a file is copied and removed as that one, not by what fsspec has for files and folders alike.

    That looks for folders first, where a store has none, and takes some names for patterns.
    """
    return not has_folders(path) or any(char in str(path.path) for char in "*?[")


def remove(path: Any) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        if is_local(path):
            Path(local_name(path)).unlink()
        elif _one_by_one(path):
            path.fs.rm_file(str(path.path))
        else:
            path.unlink()


def _remove_parts(folder: Any) -> None:
    """Remove the parts of a folder on a store; whatever else is there stays."""
    for part in _parts_below(folder):
        remove(part)
    remove(folder.joinpath(_INCOMPLETE))
    # It may hold other things, and on most stores there are no folders.
    with suppress(OSError, NotImplementedError):
        folder.fs.rmdir(str(folder.path))


def is_folder(path: Any) -> bool:
    """Tell whether a path is a folder."""
    return Path(local_name(path)).is_dir() if is_local(path) else bool(path.fs.isdir(str(path.path)))


def _names_below(folder: Any) -> list[str]:
    """Return the store's names of all files below a folder, in order."""
    if is_local(folder):
        found = [f"{root}/{name}" for root, _, names in os.walk(local_name(folder)) for name in names]
        return sorted(found)
    # Another process may have written there since it was listed last.
    folder.fs.invalidate_cache()
    # Not glob() or find(), to which some names are patterns; and what can't be listed is no empty folder.
    listed = folder.fs.walk(str(folder.path), on_error="raise")
    return sorted(f"{root.rstrip('/')}/{name}" for root, _, names in listed for name in names if name)


def _below(folder: Any) -> dict[tuple[str, ...], Any]:
    """Return the files below a folder that no part of their name hides, by the names that lead to them."""
    start = (local_name(folder) if is_local(folder) else str(folder.fs._strip_protocol(str(folder.path)))).rstrip("/")
    found = {}
    for name in _names_below(folder):
        steps = tuple(name[len(start) :].strip("/").split("/"))
        if not any(step.startswith(_HIDDEN) for step in steps):
            found[steps] = folder.joinpath(*steps)
    return found


def _parts_below(folder: Any) -> list[Any]:
    return [part for steps, part in _below(folder).items() if steps[-1].endswith(_PARQUET)]


def files_below(folder: Any) -> list[Any]:
    """Return the files below a folder that no part of their name hides, none when there is no such folder.

    :param folder: path object
    """
    return [*_below(folder).values()] if is_folder(folder) else []


def parquet_below(folder: Any) -> list[Any]:
    """Return what lies below a folder under a name that ends in ``.parquet``: files, and folders of parts.

    :param folder: path object
    """
    found: dict[tuple[str, ...], None] = {}
    for steps in _below(folder) if is_folder(folder) else ():
        end = next((place for place, step in enumerate(steps, start=1) if step.endswith(_PARQUET)), None)
        if end:
            found[steps[:end]] = None
    return [folder.joinpath(*steps) for steps in found]


def parts_of(path: Any) -> list[Any]:
    """Return the Parquet files that a name stands for: the file itself, or all below the folder of that name.

    Whatever begins with a dot or an underscore is hidden, as Spark and Hive have it.

    :param path: path object
    :raises StagingError: when it is a folder that holds none, or not all of its parts yet
    """
    if is_local(path):
        if not is_folder(path):
            return [path]
    elif path.fs.isfile(str(path.path)) or not is_folder(path):
        return [path]
    if _is_marked(path):
        raise StagingError(f"{path} is incomplete: whoever wrote it was stopped. Run the task that writes it again.")
    found = _parts_below(path)
    if not found:
        raise StagingError(f"{path} is a folder without .parquet files. Did the task that writes it run?")
    return found


def is_complete(path: Any) -> bool:
    """Tell whether there is a file, or a folder with all its parts.

    :param path: path object
    """
    return bool(path.exists()) and not (is_folder(path) and (_is_marked(path) or not _parts_below(path)))


def _is_marked(folder: Any) -> bool:
    return not is_local(folder) and bool(folder.fs.exists(str(folder.joinpath(_INCOMPLETE).path)))


def move_into_place(part: Any, path: Any) -> None:
    """Give a complete file, or a local folder, its name, replacing what an earlier try left there."""
    if is_local(path):
        # One step on a local disk, so no reader meets half a file.
        _replace(Path(local_name(part)), Path(local_name(path)))
        return
    if is_folder(path):
        # Not every store can have a file and a folder of one name.
        _remove_parts(path)
    if _one_by_one(path):
        path.fs.cp_file(str(part.path), str(path.path))
        path.fs.rm_file(str(part.path))
    else:
        path.fs.mv(str(part.path), str(path.path))


def _replace(part: Path, path: Path) -> None:
    try:
        part.replace(path)
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        # A file in place of a folder, or a folder in place of anything.
        if path.is_dir() and any(not steps[-1].endswith(_PARQUET) for steps in _below(path)):
            raise StagingError(
                f"{path} is a folder that holds other things than Parquet files. Choose another output."
            ) from None
        aside = path.with_name(f".{path.name}.old")
        _discard(aside)
        path.replace(aside)
        part.replace(path)
        _discard(aside)


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def appearing(path: Any) -> Iterator[Any]:
    """Yield the path under which to write a file that gets its name only when it is complete.

    :param path: path object; its folder is made, a bucket never
    :raises StagingError: when the store or the disk refuses the file
    """
    part = path.with_name(f".{path.name}{_mark()}.part")
    with _told(path, part):
        if has_folders(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if is_local(part):
            # What a try that was killed has left may be a folder.
            _discard(Path(local_name(part)))
        try:
            yield part
            move_into_place(part, path)
        except BaseException:
            with suppress(Exception):
                if is_local(part):
                    _discard(Path(local_name(part)))
                else:
                    remove(part)
            raise


def _mark() -> str:
    """Return what keeps a file that isn't complete yet from another task's, the same in each run."""
    writer = WRITER.get()
    return "" if writer is None else f".{hashlib.sha256(writer.task.encode()).hexdigest()[:8]}"


@contextmanager
def _told(path: Any, part: Any) -> Iterator[None]:
    """Say in one line why a file can't be written.

    :param path: path object of the file
    :param part: of what is written before it gets its name
    """
    try:
        yield
    except Exception as error:
        if (problem := _unwritable(path, part, error)) is None:
            raise
        raise StagingError(problem) from None


def _unwritable(path: Any, part: Any, error: Exception) -> str | None:
    """Return why a file can't be written, ``None`` when the error is of something else."""
    if not is_local(path):
        return store_problem(path, error) if is_store_error(error) else None
    # What is read while a file is written has errors of its own.
    names = (None, local_name(part), *map(str, Path(local_name(path)).parents))
    return local_problem(path, error) if isinstance(error, OSError) and error.filename in names else None


def at_hand(files: Sequence[Any], folder: str | Path) -> list[Any]:
    """Return where files are read on this machine: a store's are fetched once, however often they are read.

    :param files: path objects, which know their store's credentials
    :param folder: local folder for copies, which goes when the work is done
    """
    return [file if is_local(file) else UPath(_fetched(file, folder)) for file in files]


def _fetched(file: Any, folder: str | Path) -> Path:
    # Streamed: the whole of it is never in memory.
    name = hashlib.sha256(str(file).encode()).hexdigest()[:16]
    copy = Path(folder) / f"fetched-{name}.parquet"
    if not copy.exists():
        part = copy.with_suffix(".part")
        file.fs.get_file(str(file.path), str(part))
        part.replace(copy)
    return copy


def publish(parts: Sequence[Any], path: Any) -> None:
    """Let complete Parquet files appear under one name: one as that file, several as a folder of parts.

    Their rows are not read, and the files stay where they are. On a local disk they appear at one step; on a store a
    reader who comes too early is told that there is nothing, or that the folder is incomplete.

    :param parts: one or more path objects
    :param path: path object; its folder is made
    :raises StagingError: when the store or the disk refuses the files
    """
    if len(parts) == 1:
        with appearing(path) as file:
            _copy(parts[0], file)
        return
    names = [f"part-{number:05}{_PARQUET}" for number in range(len(parts))]
    if is_local(path):
        with appearing(path) as folder:
            Path(local_name(folder)).mkdir()
            for name, part in zip(names, parts, strict=True):
                _copy(part, folder.joinpath(name))
        return
    with _told(path, path):
        if path.fs.isfile(str(path.path)):
            remove(path)
        if has_folders(path):
            path.mkdir(parents=True, exist_ok=True)
        mark = path.joinpath(_INCOMPLETE)
        mark.write_bytes(b"")
        for old in _parts_below(path):
            remove(old)
        for name, part in zip(names, parts, strict=True):
            _copy(part, path.joinpath(name))
        remove(mark)


def _copy(source: Any, target: Any) -> None:
    if is_local(source) and is_local(target):
        _discard(Path(local_name(target)))
        try:
            os.link(local_name(source), local_name(target))
        except OSError:
            # Another disk, or one that has no second names for a file.
            shutil.copyfile(local_name(source), local_name(target))
        return
    if not is_local(source) and source.fs is target.fs:
        # A store that can't copy by itself has its files go through this machine.
        with suppress(NotImplementedError):
            source.fs.cp_file(str(source.path), str(target.path))
            return
    with open_file(source, "rb") as read, open_file(target, "wb") as write:
        shutil.copyfileobj(read, write)


def open_file(path: Any, mode: str, **options: Any) -> Any:
    """Open a file so that a store's client holds 8 MiB of it: left to itself, one of S3 holds 50 and sends a copy.

    What is longer leaves in several parts while it is written, and is one object once it is closed.

    :param path: path object
    :param mode: ``rb`` or ``wb``
    :param options: further ones of its ``open``
    """
    return path.open(mode, **options) if is_local(path) else path.open(mode, block_size=_BLOCK, **options)


def check_writable(folder: Any) -> None:
    """Check that files can be written to a folder, before there is anything to write.

    :param folder: path object; of a store of objects a small object is written and removed, nothing else tells
    :raises StagingError: saying what is in the way
    """
    if is_local(folder):
        place = Path(local_name(folder)).absolute()
        # A folder that may not be looked into doesn't seem to be there.
        there = next((one for one in (place, *place.parents) if os.path.lexists(one)), place)
        number = ENOTDIR if not there.is_dir() else 0 if os.access(there, os.W_OK | os.X_OK) else EACCES
        if number:
            raise StagingError(local_problem(folder, OSError(number, "")))
        return
    probe = folder / f".{uuid4().hex}.check"
    try:
        probe.write_bytes(b"")
        remove(probe)
    except Exception as error:
        if not is_store_error(error):
            raise
        raise StagingError(store_problem(folder, error)) from None
