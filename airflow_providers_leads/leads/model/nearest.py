"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str] | Mapping[str, str]) -> str:
    """Return the end of a message that names the nearest known name, empty when none is near.

    :param name: what was written; upper and lower case are the same
    :param known: the right names; or what people may write instead, such as a title → the right name
    """
    names = known.items() if isinstance(known, Mapping) else ((one, one) for one in known)
    by_form = {form.casefold(): right for form, right in names}
    return "".join(f"; did you mean {by_form[one]!r}?" for one in get_close_matches(name.casefold(), by_form, n=1))
