"""What the runtime asks of a venue. The only two things it knows: `Market` (public) and `Account` (one key).

Expected results are values. Whatever is neither a definite yes nor a definite no is `Unknown`, and an
unknown order is asked about, never sent again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import Executed, Fill, ListEnded, NeverSent, Order, Rejected, Resting


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """The request may or may not have been executed."""

    message: str


class NotFound(msgspec.Struct, frozen=True, kw_only=True):
    """The venue answered that it does not know the order. Not yet proof: reads may lag."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's record of an order."""

    venue_order_id: int
    client_order_id: str
    symbol: str
    side: str
    #: The venue's own status text: NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, ...
    status: str
    quantity_base: Decimal
    #: Zero unless the order was sized in quote.
    quantity_quote: Decimal
    executed_base: Decimal
    executed_quote: Decimal
    created_at: datetime


class FoundList(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's record of an order list."""

    venue_list_id: int
    list_client_id: str
    symbol: str
    #: Whether no leg waits for the other any more; one may still be on its way through the book.
    is_done: bool
    created_at: datetime


class AccountTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of the account, with the order it belongs to."""

    venue_order_id: int
    symbol: str
    side: str
    fill: Fill


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the account holds of one asset."""

    asset: str
    free: Decimal
    locked: Decimal


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Plaintext of an exchange key. Exists only inside this room."""

    api_key: str
    secret_key: str

    def __repr__(self) -> str:
        """Return a text without the secrets."""
        return "Credentials(***)"


class OrderNews(msgspec.Struct, frozen=True, kw_only=True):
    """The venue said that something has become of an order or list. A reason to ask, never an answer."""

    #: Of a leg: the leg's own.
    client_order_id: str


class NewsMissed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing was heard for a while, or before: something may have become of any order."""


#: Called with news; must neither wait nor raise.
HearNews = Callable[[OrderNews | NewsMissed], object]


#: Opens the stored secret of a key. Raises `Missing` (no such key) or `UnreadableSecret`.
OpenSecret = Callable[[ApiKeyId], Awaitable[Credentials]]


class VenueClock(Protocol):
    """The venue's clock, as far as we know it."""

    def now(self) -> datetime:
        """Return the venue's present time (aware, UTC): our monotonic clock plus the measured offset."""
        ...

    async def ask(self) -> datetime:
        """Return the venue's time as it just answered it, and correct the offset.

        Raises:
            Unavailable: no answer.
        """
        ...


class Account(Protocol):
    """One API key's private side.

    Methods other than those that send raise `Unavailable` when there is no answer.
    """

    async def place(self, order: Order) -> Executed | Rejected | NeverSent | Unknown:
        """Send the order once, with `timestamp = order.intended_at` and the fixed recvWindow.

        Never raises for the venue's or the network's doing. An order that the venue accepted but that is
        not final yet is `Unknown`: it is asked about like any other.
        """
        ...

    async def place_list(self, order: Order) -> Resting | Rejected | NeverSent | Unknown:
        """Send an order list, like `place`."""
        ...

    async def cancel_list(self, cancel: Order, listed: Order) -> ListEnded | Rejected | NeverSent | Unknown:
        """Send a cancel of the list, like `place`.

        `Unknown` also when the venue has nothing to take off, or took off what was executed in part: what
        became of the list is asked about.
        """
        ...

    async def find_list(self, list_client_id: str, *, urgent: bool = True) -> FoundList | NotFound:
        """Ask for a list by our id; one that is not urgent gives way to everything else."""
        ...

    async def find_order(self, symbol: str, client_order_id: str) -> Found | NotFound: ...

    async def open_orders(self, symbol: str) -> Sequence[Found]: ...

    async def fills(self, symbol: str, venue_order_id: int) -> tuple[Fill, ...]:
        """Return the executions of one order, oldest first."""
        ...

    async def orders_since(self, symbol: str, after_venue_order_id: int) -> Sequence[Found]:
        """Return up to 1,000 orders with a greater venue id, oldest first; empty at the end."""
        ...

    async def orders_from(self, symbol: str, created_from: datetime) -> Sequence[Found]:
        """Return up to 1,000 orders created at or after this moment, oldest first."""
        ...

    async def trades_since(self, symbol: str, after_venue_trade_id: int) -> Sequence[AccountTrade]:
        """Return up to 1,000 executions with a greater trade id, oldest first; empty at the end."""
        ...

    async def balances(self) -> Sequence[Balance]:
        """Return every asset with something free or locked."""
        ...

    def listen(self, hear: HearNews) -> None:
        """Let somebody hear news of the account's orders until it is closed.

        News may be late, doubled, out of order or missing: it is used to ask sooner, never needed.
        """
        ...

    async def close(self) -> None: ...


class StreamLost(msgspec.Struct, frozen=True, kw_only=True):
    """The stream broke or fell silent: prices since then are missing, and candles have a gap."""

    message: str


class StreamRestored(msgspec.Struct, frozen=True, kw_only=True):
    """The stream delivers (again, or for the first time); fetch what was missed by `Market.candles`."""


MarketEvent = Candle | PriceTick | StreamLost | StreamRestored


class Market(Protocol):
    """One venue's public side, shared by all bots."""

    @property
    def venue(self) -> Venue: ...

    @property
    def clock(self) -> VenueClock: ...

    async def instruments(self) -> dict[str, Instrument]:
        """Return what can be traded, by symbol. Raises `Unavailable`."""
        ...

    async def candles(self, symbol: str, interval: str, *, limit: int = 500) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first. Raises `Unavailable`, `Missing` (the symbol)."""
        ...

    async def price(self, symbol: str) -> PriceTick:
        """Return the last traded price. Raises `Unavailable`, `Missing`."""
        ...

    def stream(self, symbol: str, intervals: Sequence[str]) -> AsyncIterator[MarketEvent]:
        """Yield prices and closed candles of one symbol for ever, over a connection shared per venue.

        Reconnects by itself with backoff; says so with `StreamLost` and `StreamRestored`. Prices are
        conflated when the reader is slow (the newest wins); candles never are.
        """
        ...

    async def close(self) -> None: ...


class Exchange(Protocol):
    """Every venue behind one door."""

    def market(self, venue: Venue) -> Market: ...

    async def account(self, venue: Venue, api_key_id: ApiKeyId) -> Account:
        """Open the private side of a key; one client per key, on a shared connector.

        Each caller closes what it opened; the client goes with the last of them.

        Raises:
            Missing: no such key.
            UnreadableSecret: the stored secret cannot be opened.
            ClientFailed: the client could not be made.
            Unavailable: the venue does not answer.
        """
        ...
