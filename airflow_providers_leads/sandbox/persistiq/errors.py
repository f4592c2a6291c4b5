"""PersistIQ's error answers: https://apidocs.persistiq.com, Errors."""

from __future__ import annotations

from typing import Any

from airflow_providers_leads.sandbox.core.shell import ApiError

REASONS = {400: "bad_params", 401: "unauthorized", 404: "not_found", 422: "invalid_request", 500: "api_error"}
TEXTS = {400: "Bad request", 404: "Not found", 405: "Not found", 500: "Internal server error"}


def refuse(status: int, message: str) -> ApiError:
    """Answer in the common envelope; a method that a path does not know is a plain 404, as in Rails."""
    text = message or TEXTS[status]
    status = {405: 404, 415: 400}.get(status, status)
    return ApiError(status, {"status": "error", "error": {"reason": REASONS[status], "message": text}})


def bad_params(message: str) -> ApiError:
    """Answer 400."""
    return refuse(400, message)


def bare(message: str) -> ApiError:
    """Answer 422 without the envelope, as campaign creation does."""
    return ApiError(422, {"reason": "invalid_request", "message": message})


def per_item(message: str, **item: Any) -> dict[str, Any]:
    """Return the error entry of one item in an answer whose status is 200."""
    return {"reason": "invalid_request", "message": message, **item}
