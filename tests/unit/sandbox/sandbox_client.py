"""A bare client of one stand-in: no retries, no cleverness."""

from __future__ import annotations

from typing import Any

import requests

HEADERS = {
    "hubspot": lambda key: {"Authorization": f"Bearer {key}"},
    "perspective": lambda key: {"x-perspective-api-key": key},
    "persistiq": lambda key: {"x-api-key": key},
}


class Client:
    """Sends the key of its stand-in with every request."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(HEADERS[api.name](api.key))

    def __call__(self, method: str, path: str, body: Any = None, **kwargs: Any) -> requests.Response:
        if body is not None:
            kwargs["json"] = body
        return self.session.request(method, self.api.origin + path, timeout=10, **kwargs)

    def get(self, path: str, **params: Any) -> Any:
        answer = self("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def store(self) -> Any:
        return self.api.store
