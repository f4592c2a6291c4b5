"""What a record's status says of mail to the person: people mark who must get none by a status as well as by a flag."""

from __future__ import annotations

import re
from typing import Final

# As Python and Arrow's RE2 read them alike. A status is a word of somebody's own, so that only what is plain counts:
# "blocked" or "withdrawn" may be said of an order.
SAYS_OPTED_OUT: Final = (
    r"(?i)^\s*(unsubscribed?|un-subscribed|opt(ed)?[ _-]?out|do[ _-]?not[ _-]?(contact|e?[ _-]?mail|market)|dnc"
    r"|abgemeldet|ausgetragen|nicht[ _-]?(kontaktieren|anschreiben)|keine[ _-]?werbung|werbesperre|widersprochen"
    r"|widerrufen|dad[oa] de baja|no contactar|d[ée]sabonn[ée]e?|d[ée]sinscrite?|ne pas contacter|disiscritt[oa]"
    r"|non contattare|uitgeschreven|afgemeld|niet contacteren)([^a-z]|$)"
)
SAYS_BOUNCED: Final = r"(?i)^\s*(hard[ _-]?)?bounced?\s*$"
_OPTED_OUT: Final = re.compile(SAYS_OPTED_OUT)
_BOUNCED: Final = re.compile(SAYS_BOUNCED)


def opted_out(flag: bool | None, status: str | None) -> bool | None:
    """Return whether a person must not be mailed: by the flag that a CRM has for it, or by the name of a status.

    :param flag: what the CRM says
    :param status: the record's status
    """
    return True if status and _OPTED_OUT.match(status) else flag


def bounced(flag: bool | None, status: str | None) -> bool | None:
    """Return whether mail to a person came back, by the flag or the status.

    :param flag: what the CRM says
    :param status: the record's status
    """
    return True if status and _BOUNCED.match(status) else flag
