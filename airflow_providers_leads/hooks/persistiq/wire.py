"""PersistIQ's own ways in an HTTP conversation: how its lists are paged.

https://apidocs.persistiq.com and https://api.persistiq.com/api-docs/v1/swagger.json
"""

from __future__ import annotations

from airflow_providers_leads.http.pagination import NumberedPages


def list_pages(key: str, *, bare_first: bool = False) -> NumberedPages:
    """Return how a list is paged.

    ``next_page`` only tells that there is one, and is not followed: whether it keeps the filters is unknown, and it is
    an absolute URL that could lead the key to another host. Without both, the list is whole (``/users`` is documented
    so).

    Pages are not asked for before their turn. The order of these lists is not documented; were it the time of the last
    change, a row that is changed could move behind pages that were read early from where the walk has not been yet, and
    no total would tell.

    :param key: name of the list in the body, such as ``leads``
    :param bare_first: the list is documented without a parameter for the page
    """
    return NumberedPages(rows_at=key, more_at=("has_more", "next_page"), first=1, bare_first=bare_first)
