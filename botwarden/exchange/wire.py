"""Requests to one venue: budgeted, sent once, answered or not.

Every request takes its weight from the budget before it leaves and gives the venue's word back to it
afterwards. What fails is told apart by one question: can a byte have left? No text that leaves here
holds a key, a secret or an address with a signature.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import aiohttp

from botwarden.errors import Missing
from botwarden.exchange import translate
from botwarden.exchange.clock import MeasuredClock
from botwarden.exchange.errors import ClientFailed, NoAnswer, NotConnected, VenueRefused
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.port import Credentials
from botwarden.exchange.venues import VenueUrls
from botwarden.exchange.weights import OrderCount, Priority, WeightBudget

if TYPE_CHECKING:
    from botwarden.exchange.client import VenueClient

T = TypeVar("T")

UNKNOWN_SYMBOL = -1121
TOO_MANY_ORDERS = -1015

#: Name under which a pinned time stamp travels to where the request is signed; it is never sent itself.
PINNED_TIMESTAMP = "_pinned_timestamp_ms"

#: How long to be silent when the venue says "too much" without saying for how long.
_PAUSE_S = {418: 120.0, 429: 60.0}


class Answer(NamedTuple):
    """A whole answer of the venue, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """The sockets that all clients of a process share; opened at the first need."""

    def __init__(self, *, limit: int = 200) -> None:
        self._limit = limit
        self._connector: aiohttp.TCPConnector | None = None

    def connector(self) -> aiohttp.TCPConnector:
        """Return the shared connector. Needs a running loop."""
        if self._connector is None or self._connector.closed:
            self._connector = aiohttp.TCPConnector(limit=self._limit)
        return self._connector

    async def close(self) -> None:
        """Close every socket."""
        if self._connector is not None:
            await self._connector.close()


class Wire:
    """One key's requests to a venue, or nobody's."""

    def __init__(
        self,
        urls: VenueUrls,
        connections: Connections,
        budget: WeightBudget,
        clock: MeasuredClock,
        *,
        credentials: Credentials | None = None,
        orders: OrderCount | None = None,
        receive_window_ms: int,
        request_timeout_s: float,
    ) -> None:
        self._urls = urls
        self._connections = connections
        self._budget = budget
        self._clock = clock
        self._credentials = credentials
        self._orders = orders
        self._receive_window_ms = receive_window_ms
        self._timeout_s = request_timeout_s
        self._client: VenueClient | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        """Return a text without the secrets."""
        return "Wire(***)"

    def open(self) -> "VenueClient":
        """Return the client, making it at the first need.

        Raises:
            ClientFailed: the library cannot use this key.
            NotConnected: it was closed.
        """
        if self._is_closed:
            raise NotConnected("the connection to the venue was closed by us")
        if self._client is None:
            _check_key(self._credentials)
            # Half a second of imports that only those pay who talk to a venue.
            from botwarden.exchange.client import VenueClient  # noqa: PLC0415

            try:
                self._client = VenueClient(
                    self._urls,
                    self._credentials,
                    connector=self._connections.connector(),
                    venue_now_ms=lambda: translate.to_ms(self._clock.now()),
                    receive_window_ms=self._receive_window_ms,
                    timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                )
            except (ValueError, TypeError, IndexError, NotImplementedError) as broken:
                # What the key parsers of the library raise; their texts may quote the key.
                raise ClientFailed(f"the secret is no key that we can sign with ({_name(broken)})") from None
        return self._client

    async def read(self, method: str, *, weight: int, priority: Priority, **parameters: Any) -> bytes:
        """Ask the venue and return the body of its good answer.

        Raises:
            Unavailable: no budget, no connection, no whole answer, or the venue refused.
            Missing: no such symbol.
        """
        answer = await self.ask(method, parameters, weight=weight, priority=priority)
        if 200 <= answer.status < 300:
            return answer.body
        error = translate.venue_error(answer.body)
        if error is None:
            raise NoAnswer(f"the venue answered with status {answer.status} and not in its own words")
        code, message = error
        if code == UNKNOWN_SYMBOL:
            raise Missing("the venue does not know this symbol")
        raise VenueRefused(code, self.clean(message))

    async def ask(
        self,
        method: str,
        parameters: dict[str, Any],
        *,
        weight: int,
        priority: Priority,
        within_s: float | None = None,
        connect_within_s: float | None = None,
        signed_at: datetime | None = None,
    ) -> Answer:
        """Send one request, once, and return the whole answer of any status.

        `within_s`: how long to wait for budget. `connect_within_s`: how long for a connection. `signed_at`:
        the time stamp of a signed request, instead of the venue's present time.

        Raises:
            NoBudget, NotConnected: nothing was sent.
            NoAnswer: something may have been.
        """
        client = self.open()
        within_s = self._timeout_s if within_s is None else within_s
        reservation = await self._budget.reserve(priority, weight, within_s=within_s)
        used: int | None = None
        if signed_at is not None:
            parameters = {**parameters, PINNED_TIMESTAMP: translate.to_ms(signed_at)}
        if connect_within_s is not None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s, connect=connect_within_s)
            parameters = {**parameters, "requests_params": {"timeout": timeout}}
        try:
            answer: Answer = await getattr(client, method)(**parameters)
            used = _whole_number(answer.headers.get("X-MBX-USED-WEIGHT-1M"))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as failed:
            # Raised only while connecting, before the request is written: nothing was spent either.
            used = 0
            raise NotConnected(f"no connection to the venue ({_name(failed)})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failed:
            raise NoAnswer(f"no whole answer from the venue ({_name(failed)})") from None
        finally:
            self._budget.settle(reservation, used)
        self._heed(answer)
        return answer

    def clean(self, text: str) -> str:
        """Return a short text of the venue without anything of ours that is secret."""
        if self._credentials is not None:
            for secret in (self._credentials.api_key, self._credentials.secret_key):
                text = text.replace(secret, "***") if secret else text
        return text[:200]

    async def close(self) -> None:
        """Close the session, for good; the shared sockets stay."""
        self._is_closed = True
        if self._client is not None:
            await self._client.close()

    def _heed(self, answer: Answer) -> None:
        """Take the venue's limits to heart."""
        if self._orders is not None:
            self._orders.note(answer.headers)
        if answer.status not in _PAUSE_S:
            return
        asked_s = _whole_number(answer.headers.get("Retry-After"))
        pause_s = _PAUSE_S[answer.status] if asked_s is None else float(asked_s)
        error = translate.venue_error(answer.body)
        if self._orders is not None and error is not None and error[0] == TOO_MANY_ORDERS:
            self._orders.pause(pause_s)
        else:
            self._budget.pause_for(pause_s)


def _check_key(credentials: Credentials | None) -> None:
    if credentials is None:
        return
    key = credentials.api_key
    if not (key.isascii() and key.isprintable() and key.strip() and credentials.secret_key.strip()):
        raise ClientFailed("the API key or its secret is empty or no text that can be sent")


def _whole_number(text: str | None) -> int | None:
    # Nine digits are thirty years of seconds: more is no number to obey.
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) <= 9 else None


def _name(failed: BaseException) -> str:
    return type(failed).__name__


def understood(translation: Callable[[bytes], T], body: bytes) -> T:
    """Return the translated answer; one that we cannot read is no answer."""
    try:
        return translation(body)
    except Malformed as malformed:
        raise NoAnswer(f"the venue's answer cannot be read: {malformed}") from None
