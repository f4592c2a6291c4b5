"""Buckets and containers: which package opens them, and what their errors mean to whoever configured them."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, Final


class StagingError(ValueError):
    """A file can't be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Store:
    """One kind of store.

    :param extra: of this package, which installs what the store needs
    :param packages: what the extra brings
    :param conn_type: of the Airflow connection whose id stands before the ``@`` of a URI
    """

    extra: str
    packages: str
    conn_type: str


_S3: Final = Store("s3", "s3fs and apache-airflow-providers-amazon", "aws")
_GCS: Final = Store("gcs", "gcsfs and apache-airflow-providers-google", "google_cloud_platform")
_AZURE: Final = Store("azure", "adlfs and apache-airflow-providers-microsoft-azure", "wasb or adls")
STORES: Final = {
    "s3": _S3,
    "s3a": _S3,
    "s3n": _S3,
    "gs": _GCS,
    "gcs": _GCS,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "adl": _AZURE,
    "az": _AZURE,
}
"""Scheme of a URI → the store."""

_CLIENTS: Final = frozenset({"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google", "s3fs"})
_AZURE_NOT_FOUND: Final = "ResourceNotFoundError"
_KNOWN: Final = "file://, s3://, gs://, abfs:// or another scheme that an installed Airflow provider opens"


def check_uri(uri: str) -> None:
    """Check that a URI is whole.

    :raises ValueError: when a slash or the name of a bucket is missing
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or not (scheme in STORES or rest.startswith("//")):
        return
    if not rest.startswith("//"):
        raise ValueError(f"{uri} has too few slashes: a URI starts with {scheme}://")
    if scheme in STORES and not rest[2:].partition("/")[0].rpartition("@")[2]:
        raise ValueError(f"{uri} names no bucket: {scheme}://conn_id@bucket/folder")


def _cause(error: BaseException) -> BaseException:
    """Return what a store's client said, where it has put that into an error that may be anybody's, as Azure's does."""
    wraps = type(error) is RuntimeError and type(error.__cause__).__module__.partition(".")[0] in _CLIENTS
    return error.__cause__ or error if wraps else error


def is_store_error(error: BaseException) -> bool:
    """Tell whether an error comes from a store's client: some translate theirs into Python's own, some don't."""
    error = _cause(error)
    kind = type(error)
    if isinstance(error, OSError) and kind is OSError:
        # Arrow's, which are about what is in a file, have no number.
        return error.errno is not None
    built_in = kind.__module__ == "builtins" and isinstance(error, OSError | ImportError)
    return built_in or kind.__module__.partition(".")[0] in _CLIENTS


_MACHINE: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk's quota is used up",
    errno.EROFS: "the disk can only be read",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOTDIR: "a part of the path is a file, no folder",
    errno.EEXIST: "a part of the path is a file, no folder",
    errno.EISDIR: "it is a folder, no file",
    errno.ENAMETOOLONG: "a name in it is too long for the disk",
}
"""What a machine says of its own files that whoever configured them can mend."""


def local_problem(path: Any, error: OSError) -> str | None:
    """Return in one line why a file on this machine can't be written, ``None`` when nobody could mend it."""
    reason = _MACHINE.get(error.errno or 0)
    return f"{path} can't be written: {reason}. Give another place, or mend this one." if reason else None


def _of(path: Any) -> str:
    """Return the bucket of a path and its connection in words."""
    conn_id, at, bucket = str(path).partition("://")[2].partition("/")[0].rpartition("@")
    return f"bucket {bucket}, connection {conn_id}" if at else f"bucket {bucket}, this machine's own credentials"


def store_problem(path: Any, error: BaseException) -> str:
    """Return in one line what is wrong with a store and what to do.

    :param path: path object or URI
    :param error: what its client said, of which only the kind is told
    """
    error = _cause(error)
    scheme = str(path).partition("://")[0]
    store = STORES.get(scheme)
    if isinstance(error, ImportError):
        if store is None:
            return (
                f"{path}: {scheme}:// needs a package that is not installed: fsspec's for it, and Airflow's provider."
            )
        return (
            f"{path}: {scheme}:// needs {store.packages}: pip install 'airflow-providers-leads[{store.extra}]'. "
            f"Whose account it is, a connection of the type {store.conn_type} decides, whose id stands before the @."
        )
    if isinstance(error, ValueError):
        return f"{path} can't be used: it must start with {_KNOWN}."
    rights = (
        f"Check the bucket's name, and the connection before the @, which must be of the type {store.conn_type} and be "
        "allowed to read and write there. No bucket is ever made."
        if store
        else "Check the URI, and what this machine may do there."
    )
    where = f" ({_of(path)})" if store else ""
    if isinstance(error, FileNotFoundError) or type(error).__name__ == _AZURE_NOT_FOUND:
        return f"{path} can't be used: there is no such bucket or folder{where}. {rights}"
    return f"{path} can't be used: {type(error).__name__}{where}. {rights}"
