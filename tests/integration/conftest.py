from __future__ import annotations

from judged_requests import requests_are_known

__all__ = ["requests_are_known"]
