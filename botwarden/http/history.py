"""What a bot did: /trades, /orders, /events, newest first, and /pnl, what it came to by day.

A bot that is not there and one that is not yours have the same history: none, 404.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

import anyio
import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from botwarden.errors import BotwardenError
from botwarden.http.answers import JsonResponse
from botwarden.http.auth import Asked
from botwarden.http.cursor import MOST, USUAL, Cursor, Limit, page_of, read_cursor
from botwarden.http.dependencies import BASE_PATH, HttpDeps
from botwarden.http.numbers import decimal_of
from botwarden.http.tables import csv_file, header_line, lines, wants_csv
from botwarden.persistence import bots, history
from botwarden.persistence.bots import Bot
from botwarden.persistence.history import DayResult, EventRecord, OrderRecord, TradeRecord
from botwarden.trading.bot import ZERO, BotId, BotState, UserId
from botwarden.trading.days import trading_day
from botwarden.trading.money import total
from botwarden.trading.pnl import unrealised

_PRICE_WITHIN_S = 2.0
_MOST_DAYS = 366

#: Fields of a state that are amounts; the audit trail keeps them as text.
_AMOUNTS = frozenset(
    it.name for it in msgspec.structs.fields(BotState) if it.type in (Decimal, Decimal | None)
)

_CSV = {200: ResponseSpec(None, media_type="text/csv", description="With `Accept: text/csv`.")}


class TradePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some trades, newest first."""

    items: Sequence[TradeRecord]
    next_cursor: str | None


class OrderPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some orders, newest first."""

    items: Sequence[OrderRecord]
    next_cursor: str | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some changes, newest first."""

    items: Sequence[EventRecord]
    next_cursor: str | None


class DayView(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day."""

    day: date
    #: Quote, fees included.
    realised: Decimal
    #: Quote.
    fees: Decimal
    trades: int


class PnlView(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot made."""

    #: Every day asked for, oldest first, the present one last.
    days: list[DayView]
    #: Quote: the sum over these days.
    realised: Decimal
    fees: Decimal
    #: Quote: what selling the position now would make before fees; null when there is no price now.
    unrealised: Decimal | None
    #: The price that `unrealised` goes by; null without a position or a price.
    price: Decimal | None


@get("/trades", summary="List a bot's trades")
async def list_trades(
    request: Asked,
    bot_id: FromPath[int],
    deps: NamedDependency[HttpDeps],
    cursor: Cursor = None,
    limit: Limit = USUAL,
) -> Response[TradePage] | Stream:
    """Return trades, newest first. With `Accept: text/csv` all of them, as a file."""
    user_id, before_id = request.user.user_id, read_cursor(cursor)
    await _find(deps, user_id, bot_id)
    if wants_csv(request.headers):
        return csv_file(_trade_lines(deps, user_id, bot_id, before_id), name=f"bot-{bot_id}-trades.csv")
    async with deps.database.read() as tx:
        found = await history.list_trades(tx, user_id, BotId(bot_id), before_id=before_id, limit=limit + 1)
    items, next_cursor = page_of(found, limit, lambda it: it.id)
    return JsonResponse(TradePage(items=items, next_cursor=next_cursor))


@get("/orders", summary="List a bot's orders")
async def list_orders(
    request: Asked,
    bot_id: FromPath[int],
    deps: NamedDependency[HttpDeps],
    cursor: Cursor = None,
    limit: Limit = USUAL,
) -> OrderPage:
    """Return orders with what became of them, newest first."""
    user_id, before_id = request.user.user_id, read_cursor(cursor)
    await _find(deps, user_id, bot_id)
    async with deps.database.read() as tx:
        found = await history.list_orders(tx, user_id, BotId(bot_id), before_id=before_id, limit=limit + 1)
    items, next_cursor = page_of(found, limit, lambda it: it.id)
    return OrderPage(items=items, next_cursor=next_cursor)


@get("/events", summary="Read a bot's audit trail")
async def list_events(
    request: Asked,
    bot_id: FromPath[int],
    deps: NamedDependency[HttpDeps],
    cursor: Cursor = None,
    limit: Limit = USUAL,
) -> EventPage:
    """Return every change of the state with its cause and the fields that changed, newest first."""
    user_id, before_id = request.user.user_id, read_cursor(cursor)
    await _find(deps, user_id, bot_id)
    async with deps.database.read() as tx:
        found = await history.list_events(tx, user_id, BotId(bot_id), before_id=before_id, limit=limit + 1)
    items, next_cursor = page_of(found, limit, lambda it: it.id)
    return EventPage(items=[_with_amounts(it) for it in items], next_cursor=next_cursor)


@get("/pnl", summary="Show what a bot made")
async def read_pnl(
    request: Asked,
    bot_id: FromPath[int],
    deps: NamedDependency[HttpDeps],
    days: Annotated[int, QueryParameter(ge=1, le=_MOST_DAYS, description="How many UTC days.")] = 30,
) -> Response[PnlView] | Stream:
    """Return what was realised by UTC day, fees, and what the position would make now; also as text/csv."""
    bot = await _find(deps, request.user.user_id, bot_id)
    today = trading_day(deps.clock.now())
    first = today - timedelta(days=days - 1)
    async with deps.database.read() as tx:
        found = await history.pnl_by_day(tx, request.user.user_id, BotId(bot_id), since=first)
    by_day = _every_day(found, first, today)
    if wants_csv(request.headers):
        return csv_file(header_line(DayView) + lines(by_day), name=f"bot-{bot_id}-pnl.csv")
    price = await _price(deps, bot) if bot.state.in_position else None
    now = None if price is None and bot.state.in_position else unrealised(bot.state, price or ZERO)
    return JsonResponse(
        PnlView(
            days=by_day,
            realised=total(it.realised for it in by_day),
            fees=total(it.fees for it in by_day),
            unrealised=now,
            price=price,
        )
    )


async def _find(deps: HttpDeps, user_id: UserId, bot_id: int) -> Bot:
    async with deps.database.read() as tx:
        return await bots.read_bot(tx, user_id, BotId(bot_id))


async def _trade_lines(
    deps: HttpDeps, user_id: UserId, bot_id: int, before_id: int | None
) -> AsyncIterator[str]:
    yield header_line(TradeRecord)
    while True:
        async with deps.database.read() as tx:
            page = await history.list_trades(tx, user_id, BotId(bot_id), before_id=before_id, limit=MOST)
        if not page:
            return
        yield lines(page)
        before_id = page[-1].id


def _with_amounts(event: EventRecord) -> EventRecord:
    """Return an event whose changed amounts are numbers."""
    changes = {
        name: [_amount(it) for it in pair] if name in _AMOUNTS else pair
        for name, pair in event.changes.items()
    }
    return msgspec.structs.replace(event, changes=changes)


def _amount(text: Any) -> Any:
    number = decimal_of(text)
    return text if number is None else number


def _every_day(found: Sequence[DayResult], first: date, last: date) -> list[DayView]:
    by_day = {it.day: it for it in found}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    days += sorted(day for day in by_day if day > last)
    return [
        DayView(
            day=day,
            realised=by_day[day].realised_quote if day in by_day else ZERO,
            fees=by_day[day].fee_quote if day in by_day else ZERO,
            trades=by_day[day].trades if day in by_day else 0,
        )
        for day in days
    ]


async def _price(deps: HttpDeps, bot: Bot) -> Decimal | None:
    """Return the last price, if the venue tells it now."""
    try:
        with anyio.fail_after(_PRICE_WITHIN_S):
            return (await deps.exchange.market(bot.config.venue).price(bot.config.symbol)).price_quote
    except (BotwardenError, TimeoutError):
        return None


router = Router(
    f"{BASE_PATH}/bots/{{bot_id:int}}",
    route_handlers=[list_trades, list_orders, list_events, read_pnl],
    tags=["history"],
)
