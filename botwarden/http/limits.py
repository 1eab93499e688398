"""How much one caller may ask for: requests at a time, and wrong passwords in a minute.

A caller's address is the peer of the connection; what a header claims about it is not believed.
"""

import hashlib
import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Request

from botwarden.errors import TooMany
from botwarden.persistence.counters import Counters
from botwarden.trading.bot import UserId

_WINDOW_S = 60
#: Wrong passwords within the window: for one account from one address, from one address, for one account.
_MOST_OF_PAIR = 5
_MOST_OF_ADDRESS = 60
_MOST_OF_ACCOUNT = 50
#: New accounts from one address within the window.
_MOST_REGISTRATIONS = 600


class Crowd:
    """Requests that run now, by user."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: Counter[UserId] = Counter()

    @contextmanager
    def entered(self, user_id: UserId) -> Iterator[None]:
        """Count a request while it runs. Raises `TooMany`."""
        if self._inside[user_id] >= self._most:
            raise TooMany("Too many of your requests are running: wait for some to end.")
        self._inside[user_id] += 1
        try:
            yield
        finally:
            self._inside[user_id] -= 1
            if not self._inside[user_id]:
                del self._inside[user_id]


class Throttle:
    """Slows down whoever guesses passwords.

    An attempt is counted before its password is looked at, so that attempts at the same time do not slip
    through together; one that succeeds takes its count back.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    async def attempt(self, email: str, address: str) -> None:
        """Count an attempt. Raises `TooMany`, for the right password as well."""
        for key, most in self._keys(email, address).items():
            await self._count(key, most)

    async def succeeded(self, email: str, address: str) -> None:
        """Take the last attempt back."""
        pair, *others = self._keys(email, address)
        await self._counters.clear(pair)
        for key in others:
            await self._counters.take_back(key)

    async def registration(self, address: str) -> None:
        """Count a new account. Raises `TooMany`."""
        await self._count(f"register:{address}", _MOST_REGISTRATIONS)

    async def _count(self, key: str, most: int) -> None:
        count, left_s = await self._counters.count(key, within_s=_WINDOW_S)
        if count > most:
            raise TooMany("Too many attempts: wait and try again.", retry_after_s=max(1, round(left_s)))

    @staticmethod
    def _keys(email: str, address: str) -> dict[str, int]:
        account = hashlib.sha256(email.encode()).hexdigest()[:32]
        return {
            f"login:pair:{account}:{address}": _MOST_OF_PAIR,
            f"login:address:{address}": _MOST_OF_ADDRESS,
            f"login:account:{account}": _MOST_OF_ACCOUNT,
        }


def address_of(request: Request[Any, Any, Any]) -> str:
    """Return the peer's address; of IPv6 the network, since a host has as many addresses as it likes."""
    if request.client is None:
        return "local"
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return request.client.host
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
