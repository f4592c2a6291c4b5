"""What a machine of a test calls itself: all of them are one computer."""

from __future__ import annotations

import os


def machine_name() -> str:
    return os.environ["MACHINE_NAME"]
