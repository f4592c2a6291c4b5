"""HubSpot's error answers: https://developers.hubspot.com/docs/api-reference/error-handling."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

from airflow_providers_leads.sandbox.core.shell import ApiError

PORTAL_ID = 20_261_101

PLAIN = {
    400: "There was a problem with the request.",
    404: "resource not found",
    405: "Method not allowed",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    500: "internal error",
}
CATEGORIES = {400: "VALIDATION_ERROR", 415: "VALIDATION_ERROR"}


def failure(status: int, message: str, category: str | None = None, **extra: Any) -> ApiError:
    """Build an error answer; the correlation id stands in the body and in a header."""
    correlation_id = str(uuid4())
    body = {"status": "error", "message": message, "correlationId": correlation_id}
    if category:
        body["category"] = category
    return ApiError(status, body | extra, {"X-HubSpot-Correlation-Id": correlation_id})


def refuse(status: int, message: str) -> ApiError:
    """Answer what no handler could take; 404 and 405 carry no category, as seen on the live API."""
    return failure(status, message or PLAIN[status], CATEGORIES.get(status))


def bad_request(message: str, **extra: Any) -> ApiError:
    """Answer 400 for a request as a whole."""
    return failure(400, message, "VALIDATION_ERROR", **extra)


def bad_values(issues: list[tuple[str, str, str]]) -> ApiError:
    """Answer 400 for property values; the message embeds the same list as JSON, as the live API does."""
    details = [
        {
            "isValid": False,
            "message": message,
            "error": code,
            "name": name,
            "localizedErrorMessage": message,
            "portalId": PORTAL_ID,
        }
        for name, code, message in issues
    ]
    return bad_request(
        f"Property values were not valid: {msgspec.json.encode(details).decode()}",
        errors=[
            {"message": message, "code": code, "context": {"propertyName": [name]}} for name, code, message in issues
        ],
    )


def conflict(contact_id: int | None) -> ApiError:
    """Answer 409; clients read the id from the message or from the context, and sometimes there is none."""
    if contact_id is None:
        return failure(409, "Contact already exists", "CONFLICT")
    return failure(
        409,
        f"Contact already exists. Existing ID: {contact_id}",
        "CONFLICT",
        context={"existingId": [str(contact_id)]},
    )


def missing_scopes(needed: frozenset[str]) -> ApiError:
    """Answer 403 with the scopes that would have been enough."""
    message = (
        "This app hasn't been granted all required scopes to make this call. "
        "Read more about required scopes here: https://developers.hubspot.com/scopes."
    )
    return failure(
        403,
        message,
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": sorted(needed)},
            }
        ],
        links={"scopes": "https://developers.hubspot.com/scopes"},
    )


def rate_limited(policy: str) -> ApiError:
    """Answer 429; search names only the message, without a policy."""
    if policy == "SECONDLY":
        return failure(429, "You have reached your secondly limit.", errorType="RATE_LIMIT")
    name = {"TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "DAILY": "daily"}[policy]
    return failure(429, f"You have reached your {name} limit.", errorType="RATE_LIMIT", policyName=policy)
