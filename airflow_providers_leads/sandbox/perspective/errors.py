"""Perspective's error answers: https://developers.perspective.co"""

from __future__ import annotations

from airflow_providers_leads.sandbox.core.shell import ApiError


def refuse(status: int, message: str) -> ApiError:
    """Answer in the vendor's shape; a wrong content type is a plain 400 there."""
    texts = {400: "Bad request", 404: "Not found", 405: "Method not allowed", 500: "Internal server error"}
    status = 400 if status == 415 else status
    return ApiError(status, {"error": message or texts[status], "status": status})
