"""What a key may do, found out by requests that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsAuthError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsValidationError,
)


class Right(NamedTuple):
    """Something that a key may do or not.

    :param name: what it is, such as ``write contacts``
    :param ask: sends a request that needs the right and changes nothing
    :param needs: how the vendor calls it, where it has a name
    :param refusals: errors that come after the permission was looked at, and so prove it
    """

    name: str
    ask: Callable[[], Any]
    needs: str = ""
    refusals: tuple[type[LeadsApiError], ...] = (LeadsValidationError,)


def of_nobody(name: str, ask: Callable[[], Any], needs: str = "") -> Right:
    """Return a right that is asked for by a record that doesn't exist."""
    return Right(name, ask, needs, (LeadsValidationError, LeadsNotFoundError))


def told_rights(rights: Iterable[Right]) -> str:
    """Return in a few sentences what a key may do and what not.

    :param rights: asked for one after the other
    :raises LeadsAuthError: when the key itself is refused
    """
    may, may_not, unclear = [], [], []
    for right in rights:
        allowed = _is_allowed(right)
        if allowed is None:
            unclear.append(right.name)
        elif allowed:
            may.append(right.name)
        else:
            may_not.append(f"{right.name} ({right.needs})" if right.needs else right.name)
    told = [
        f"It may {_joined(may, 'and')}." if may else "",
        f"It may not {_joined(may_not, 'or')}." if may_not else "",
        f"Whether it may {_joined(unclear, 'or')} could not be found out." if unclear else "",
    ]
    return " ".join(filter(None, told))


def _is_allowed(right: Right) -> bool | None:
    try:
        right.ask()
    except LeadsPermissionError:
        return False
    except LeadsAuthError:
        raise
    except right.refusals:
        return True
    except LeadsApiError:
        return None
    return True


def _joined(names: list[str], word: str) -> str:
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
