"""One API key's private side.

An order's request is signed with the moment of its intent and a fixed recvWindow, and leaves at most
once. Reads are not retried here either (the HTTP library may repeat one on a connection that the venue
had closed already): who needs them again asks again.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from botwarden.errors import Unavailable
from botwarden.exchange import lists, outcomes, translate
from botwarden.exchange.clock import MeasuredClock
from botwarden.exchange.commissions import Commissions
from botwarden.exchange.errors import NoAnswer, NoBudget, NotConnected, VenueRefused
from botwarden.exchange.port import AccountTrade, Balance, Found, FoundList, HearNews, NotFound, Unknown
from botwarden.exchange.weights import OrderCount, Priority
from botwarden.exchange.wire import Answer, Wire, understood
from botwarden.trading.orders import (
    Executed,
    Fill,
    ListEnded,
    NeverSent,
    Order,
    OrderType,
    Rejected,
    Resting,
    Side,
)

UNKNOWN_ORDER = -2013

#: GET orderList of a list that the venue does not know: its documentation does not say which of them.
UNKNOWN_LIST = frozenset({-2013, -2011, -2018})

CLOSED = "the account was closed by us"
SENT_BEFORE = "it was sent before, and is asked about"

#: Most rows of one answer. Source: Binance spot API, allOrders and myTrades, limit.
PAGE = 1000


class BinanceAccount:
    """An `Account` over python-binance."""

    def __init__(
        self,
        wire: Wire,
        clock: MeasuredClock,
        commissions: Commissions,
        orders: OrderCount,
        *,
        receive_window: timedelta,
        listen: Callable[[HearNews], Callable[[], None]],
        on_close: Callable[[], Awaitable[None]],
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._commissions = commissions
        self._orders = orders
        self._receive_window = receive_window
        self._listen = listen
        self._on_close = on_close
        self._is_open = True
        #: What has left, and when it was intended: nothing leaves twice, whoever asks for it.
        self._sent: dict[str, datetime] = {}
        self._stop_listening: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        """Return a text without the secrets."""
        return "BinanceAccount(***)"

    async def place(self, order: Order) -> Executed | Rejected | NeverSent | Unknown:
        """Send the order once; see the port."""
        answer = await self._send("create_order", order, translate.order_parameters(order))
        if not isinstance(answer, Answer):
            return answer
        outcome = outcomes.outcome(order, answer.status, answer.body)
        if isinstance(outcome, Executed):
            valued = await self._commissions.value(order.symbol, outcome.fills)
            return Executed(venue_order_id=outcome.venue_order_id, status=outcome.status, fills=valued)
        return await self._refused(outcome)

    async def place_list(self, order: Order) -> Resting | Rejected | NeverSent | Unknown:
        """Send the list once; see the port."""
        answer = await self._send("create_oco_order", order, lists.list_parameters(order))
        if not isinstance(answer, Answer):
            return answer
        outcome = lists.list_outcome(order, answer.status, answer.body)
        return outcome if isinstance(outcome, Resting) else await self._refused(outcome)

    async def cancel_list(self, cancel: Order, listed: Order) -> ListEnded | Rejected | NeverSent | Unknown:
        """Send the cancel once; see the port."""
        answer = await self._send("cancel_order", cancel, lists.cancel_parameters(cancel, listed))
        if not isinstance(answer, Answer):
            return answer
        outcome = lists.cancel_outcome(listed, answer.status, answer.body)
        return outcome if isinstance(outcome, ListEnded) else await self._refused(outcome)

    async def _send(
        self, method: str, order: Order, parameters: dict[str, str]
    ) -> Answer | NeverSent | Unknown:
        priority = Priority.EXIT if order.side is Side.SELL else Priority.ENTRY
        late = self._too_late(order)
        if late is None and order.type is not OrderType.CANCEL:
            late = self._too_many(priority)
        if late is not None:
            return late
        if order.client_order_id in self._sent:
            return Unknown(message=SENT_BEFORE)
        self._note_sent(order)
        try:
            return await self._wire.ask(
                method,
                parameters,
                weight=1,
                priority=priority,
                within_s=self._left_s(order, self._receive_window / 2),
                connect_within_s=self._left_s(order, self._receive_window),
                signed_at=order.intended_at,
            )
        except (NoBudget, NotConnected) as unsent:
            return NeverSent(message=str(unsent))
        except NoAnswer as unanswered:
            return Unknown(message=str(unanswered))

    async def find_list(self, list_client_id: str, *, urgent: bool = True) -> FoundList | NotFound:
        """Ask for one list by our id."""
        priority = Priority.ORDER_QUERY if urgent else Priority.CANDLES
        try:
            body = await self._read(
                "get_order_list", weight=4, priority=priority, origClientOrderId=list_client_id
            )
        except VenueRefused as refused:
            if refused.code in UNKNOWN_LIST:
                return NotFound()
            raise
        return understood(lists.list_record, body)

    async def find_order(self, symbol: str, client_order_id: str) -> Found | NotFound:
        """Ask for one order by our id."""
        try:
            body = await self._read("get_order", weight=4, symbol=symbol, origClientOrderId=client_order_id)
        except VenueRefused as refused:
            if refused.code == UNKNOWN_ORDER:
                return NotFound()
            raise
        return understood(translate.order_record, body)

    async def open_orders(self, symbol: str) -> Sequence[Found]:
        """Return the symbol's orders on the book, oldest first."""
        return understood(
            translate.order_records, await self._read("get_open_orders", weight=6, symbol=symbol)
        )

    async def fills(self, symbol: str, venue_order_id: int) -> tuple[Fill, ...]:
        """Return the executions of one order, oldest first."""
        trades = await self._trades_page(symbol, weight=5, orderId=venue_order_id)
        if len(trades) == PAGE:
            # Which of them a full page shows is not documented: all are read, from the first on.
            trades = await self._all_trades_of(symbol, venue_order_id)
        return await self._commissions.value(symbol, (trade.fill for trade in trades))

    async def orders_since(self, symbol: str, after_venue_order_id: int) -> Sequence[Found]:
        """Return up to 1,000 orders with a greater venue id, oldest first; empty at the end."""
        return await self._orders_page(symbol, orderId=after_venue_order_id + 1)

    async def orders_from(self, symbol: str, created_from: datetime) -> Sequence[Found]:
        """Return up to 1,000 orders created at or after this moment, oldest first."""
        return await self._orders_page(symbol, startTime=translate.to_ms(created_from))

    async def trades_since(self, symbol: str, after_venue_trade_id: int) -> Sequence[AccountTrade]:
        """Return up to 1,000 executions with a greater trade id, oldest first; empty at the end."""
        trades = await self._trades_page(symbol, weight=20, fromId=after_venue_trade_id + 1)
        fills = await self._commissions.value(symbol, (trade.fill for trade in trades))
        return [
            AccountTrade(venue_order_id=trade.venue_order_id, symbol=trade.symbol, side=trade.side, fill=fill)
            for trade, fill in zip(trades, fills, strict=True)
        ]

    async def balances(self) -> Sequence[Balance]:
        """Return every asset with something free or locked."""
        return understood(
            translate.balances, await self._read("get_account", weight=20, omitZeroBalances="true")
        )

    def listen(self, hear: HearNews) -> None:
        """Let somebody hear news of the account's orders until it is closed."""
        self._stop_listening.append(self._listen(hear))

    async def close(self) -> None:
        """Send and hear nothing any more; the client goes with the last who has the account open."""
        if self._is_open:
            self._is_open = False
            for stop in self._stop_listening:
                stop()
            await self._on_close()

    async def _refused(self, outcome: Rejected | Unknown) -> Rejected | Unknown:
        """Return the outcome without anything secret; a clock that was at fault is mended."""
        match outcome:
            case Rejected(code=code, message=message):
                if code == outcomes.TIMESTAMP_OUTSIDE_WINDOW:
                    await self._mend_clock()
                return Rejected(code=code, message=self._wire.clean(message))
            case Unknown(message=message):
                return Unknown(message=self._wire.clean(message))

    async def _mend_clock(self) -> None:
        with suppress(Unavailable):
            await self._clock.ask()

    def _left_s(self, order: Order, window: timedelta) -> float:
        """Return what is left of a time that began with the intent; hardly anything, but never nothing."""
        return max((order.intended_at + window - self._clock.now()).total_seconds(), 0.001)

    def _too_late(self, order: Order) -> NeverSent | None:
        if not self._is_open:
            return NeverSent(message=CLOSED)
        if self._clock.now() >= order.intended_at + self._receive_window / 2:
            return NeverSent(message="too much time has passed since the order was intended")
        return None

    def _note_sent(self, order: Order) -> None:
        """Remember it for as long as a copy could still be accepted."""
        over = self._clock.now() - 2 * self._receive_window
        self._sent = {name: at for name, at in self._sent.items() if at > over}
        self._sent[order.client_order_id] = order.intended_at

    def _too_many(self, priority: Priority) -> NeverSent | None:
        wait_s = self._orders.wait_s(priority)
        if wait_s > 0:
            return NeverSent(message=f"the account may place no more orders for {wait_s:.0f} s")
        return None

    async def _orders_page(self, symbol: str, **bound: Any) -> list[Found]:
        body = await self._read("get_all_orders", weight=20, symbol=symbol, limit=PAGE, **bound)
        return understood(translate.order_records, body)

    async def _all_trades_of(self, symbol: str, venue_order_id: int) -> list[AccountTrade]:
        trades: list[AccountTrade] = []
        from_id = 0
        while True:
            page = await self._trades_page(symbol, weight=5, orderId=venue_order_id, fromId=from_id)
            trades.extend(page)
            if len(page) < PAGE:
                return trades
            from_id = page[-1].fill.venue_trade_id + 1

    async def _trades_page(self, symbol: str, *, weight: int, **bound: Any) -> list[AccountTrade]:
        body = await self._read("get_my_trades", weight=weight, symbol=symbol, limit=PAGE, **bound)
        return understood(translate.account_trades, body)

    async def _read(
        self, method: str, *, weight: int, priority: Priority = Priority.ORDER_QUERY, **parameters: Any
    ) -> bytes:
        if not self._is_open:
            raise NotConnected(CLOSED)
        try:
            return await self._wire.read(method, weight=weight, priority=priority, **parameters)
        except VenueRefused as refused:
            if refused.code == outcomes.TIMESTAMP_OUTSIDE_WINDOW:
                await self._mend_clock()
            raise
