"""Standard output for data alone: Airflow's logging, and whatever else prints there, is led to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def data_alone() -> Iterator[TextIO]:
    """Yield a stream for a command's data; everything that is printed to standard output meanwhile goes to the other.

    :raises BrokenPipeError: when nobody reads the data any more, as after ``| head``
    """
    sys.stdout.flush()
    try:
        number, other = sys.stdout.fileno(), sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        # Not a file of the operating system: a test's, or a notebook's.
        out, sys.stdout = sys.stdout, sys.stderr
        try:
            yield out
        finally:
            sys.stdout = out
        return
    # The file and not only Python's name for it: who logs may have taken hold of that before.
    kept = os.dup(number)
    os.dup2(other, number)
    data = os.fdopen(os.dup(kept), "w", encoding=sys.stdout.encoding, errors="backslashreplace", newline="")
    try:
        with data:
            yield data
    finally:
        sys.stdout.flush()
        os.dup2(kept, number)
        os.close(kept)
