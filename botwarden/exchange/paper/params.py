"""The parameters of a request, read by name and checked as the venue checks them.

Query string and body are parsed apart; where both name a parameter the query string wins. What was sent
and never read is an error, so that a misspelt parameter is noticed.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from botwarden.exchange.paper import errors
from botwarden.exchange.paper.amounts import LEGAL, NotDecimal, TooPrecise, units
from botwarden.exchange.paper.errors import ApiError

CLIENT_ORDER_ID = r"^[a-zA-Z0-9-_]{1,36}$"
_CLIENT_ORDER_ID = re.compile(r"[a-zA-Z0-9\-_]{1,36}")
_INTEGER = re.compile(r"[0-9]{1,20}")
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")


class Params:
    """What was sent."""

    def __init__(self, query: Iterable[tuple[str, str]], body: Iterable[tuple[str, str]] = ()) -> None:
        self._values = _single(body) | _single(query)
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """Return a parameter; None when it was not sent."""
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise errors.empty_parameter(name)
        return value

    def has(self, name: str) -> bool:
        """Whether a parameter was sent; does not count as reading it."""
        return name in self._values

    def peek(self, name: str) -> str | None:
        """Return a parameter without counting it as read."""
        return self._values.get(name)

    def required(self, name: str) -> str:
        """Return a parameter that has to be there."""
        self._read.add(name)
        value = self._values.get(name)
        if not value:
            raise errors.missing_parameter(name)
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise errors.illegal_characters(name, "^[0-9]{1,20}$")
        return int(value)

    def time_ms(self, name: str) -> int | None:
        """Return a time; microseconds are understood as well."""
        value = self.integer(name)
        return value // 1000 if value is not None and value > 10**14 else value

    def limit(self, default: int, most: int) -> int:
        """Return `limit`, never above what the endpoint gives."""
        value = self.integer("limit")
        if value == 0:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(default if value is None else value, most)

    def amount(self, name: str) -> int | None:
        """Return a decimal amount in units."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return units(value)
        except NotDecimal:
            raise errors.illegal_characters(name, LEGAL) from None
        except TooPrecise:
            raise errors.too_precise(name) from None

    def client_order_id(self, name: str) -> str | None:
        """Return an order id of the client's making."""
        value = self.text(name)
        if value is not None and not _CLIENT_ORDER_ID.fullmatch(value):
            raise errors.illegal_characters(name, CLIENT_ORDER_ID)
        return value

    def symbol(self) -> str:
        """Return `symbol` as it is written; whether it exists is not known here."""
        value = self.required("symbol")
        if not _SYMBOL.fullmatch(value) and value.isascii():
            raise errors.illegal_characters("symbol", "^[\\\\w\\\\-._&&[^a-z]]{1,50}$")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a yes or no."""
        value = self.text(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise errors.illegal_characters(name, "^(true|false)$")
        return value.lower() == "true"

    def ignore(self, *names: str) -> None:
        """Count these as read."""
        self._read.update(names)

    def finish(self) -> None:
        """Refuse what nobody has read."""
        unread = self._values.keys() - self._read
        if unread:
            raise errors.unread_parameters(len(self._values) - len(unread), len(self._values))


def pairs(raw: bytes) -> list[tuple[str, str]]:
    """Return the names and values of a query string or form body."""
    found = []
    for piece in raw.decode("latin-1").split("&"):
        if piece:
            name, _, value = piece.partition("=")
            found.append((_decoded(name), _decoded(value)))
    return found


def _decoded(piece: str) -> str:
    return unquote_plus(piece.encode("latin-1").decode("utf-8", "replace"), errors="replace")


def _single(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in found:
        if name in values:
            raise errors.duplicate_parameter(name)
        values[name] = value
    return values
