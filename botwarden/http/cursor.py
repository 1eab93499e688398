"""Places in a list, as callers carry them from page to page: opaque, and good for nothing else.

A page is bounded, whatever a caller asks for.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from litestar.params import QueryParameter

from botwarden.errors import FieldError, Invalid

MOST = 500
USUAL = 100

_PREFIX = b"after:"
_LARGEST_ID = 2**63 - 1

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the page before; none for the first page.")
]


def read_cursor(cursor: str | None) -> int | None:
    """Return the id that the cursor stands for. Raises `Invalid`."""
    if cursor is None:
        return None
    try:
        digits = base64.urlsafe_b64decode(cursor.encode()).removeprefix(_PREFIX)
    except (binascii.Error, ValueError):
        digits = b""
    if not digits.isdigit() or len(digits) > 19 or int(digits) > _LARGEST_ID:
        raise Invalid(FieldError("cursor", "is not one that was given out here"))
    return int(digits)


def write_cursor(last_id: int) -> str:
    """Return the cursor of the page behind the row with this id."""
    return base64.urlsafe_b64encode(_PREFIX + b"%d" % last_id).decode()


def page_of(rows: Sequence[T], limit: int, id_of: Callable[[T], int]) -> tuple[Sequence[T], str | None]:
    """Return the first `limit` rows, and the cursor of what is behind them; `rows` may hold one more."""
    if len(rows) <= limit:
        return rows, None
    shown = rows[:limit]
    return shown, write_cursor(id_of(shown[-1]))
