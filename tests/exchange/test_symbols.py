"""The catalogue asks the venue rarely, survives its absence, and looks again for what it does not know."""

from typing import Any

import anyio
import msgspec
import pytest

from botwarden.errors import Missing, Unavailable
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.symbols import ASKED_AGAIN_AFTER_S, SymbolCatalogue
from botwarden.runtime.testing import FakeClock
from botwarden.trading.bot import Venue
from tests.exchange.raw_venue import RawVenue, answer
from tests.exchange.samples import exchange_info, symbol_info

pytestmark = pytest.mark.anyio

PATH = "/api/v3/exchangeInfo"


class JsonShelf:
    """A shared cache of JSON texts, as a Redis would hold them."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.is_away = False

    async def get(self, key: str, type: Any) -> Any:  # noqa: A002 - the cache's own word
        if self.is_away:
            raise Unavailable
        text = self.texts.get(key)
        return None if text is None else msgspec.json.decode(text, type=type)

    async def set(self, key: str, value: object, ttl_s: int) -> None:
        if self.is_away:
            raise Unavailable
        assert ttl_s > 0
        self.texts[key] = msgspec.json.encode(value)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def shelf() -> JsonShelf:
    return JsonShelf()


@pytest.fixture
def catalogue(exchange: BinanceExchange, shelf: JsonShelf, clock: FakeClock) -> SymbolCatalogue:
    return SymbolCatalogue(exchange, shelf, clock)


async def test_many_readers_one_request(raw: RawVenue, catalogue: SymbolCatalogue) -> None:
    """The venue is asked once, however many want to know at once."""
    raw.next(PATH, answer(exchange_info()))
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(catalogue.find, Venue.PAPER, "BTCUSDT")
    assert len(raw.seen(PATH)) == 1
    assert raw.seen(PATH)[0].query == {"showPermissionSets": "false"}


async def test_other_processes_use_the_shared_copy(
    raw: RawVenue, exchange: BinanceExchange, catalogue: SymbolCatalogue, shelf: JsonShelf, clock: FakeClock
) -> None:
    """What one process has learned is not asked for by the next, and is the same to the last digit."""
    raw.next(PATH, answer(exchange_info()))
    known = await catalogue.find(Venue.PAPER, "BTCUSDT")
    assert await SymbolCatalogue(exchange, shelf, clock).find(Venue.PAPER, "BTCUSDT") == known
    assert len(raw.seen(PATH)) == 1


async def test_unknown_symbol_is_looked_for_once_more(
    raw: RawVenue, catalogue: SymbolCatalogue, clock: FakeClock
) -> None:
    """A symbol listed since the last look is found; one that does not exist costs one look a minute."""
    new = symbol_info(symbol="NEWUSDT", baseAsset="NEW")
    raw.next(PATH, answer(exchange_info()), answer(exchange_info(symbol_info(), new)))
    with pytest.raises(Missing):
        await catalogue.find(Venue.PAPER, "NEWUSDT")
    with pytest.raises(Missing):
        await catalogue.find(Venue.PAPER, "NEWUSDT")
    assert len(raw.seen(PATH)) == 1
    await clock.advance(ASKED_AGAIN_AFTER_S + 1)
    assert (await catalogue.find(Venue.PAPER, "NEWUSDT")).base_asset == "NEW"
    assert len(raw.seen(PATH)) == 2


async def test_old_copy_while_the_venue_is_away(
    raw: RawVenue, catalogue: SymbolCatalogue, shelf: JsonShelf, clock: FakeClock
) -> None:
    """Neither an absent venue nor an absent cache takes away what is known."""
    raw.next(PATH, answer(exchange_info()))
    raw.always(PATH, answer("", status=503))
    await catalogue.find(Venue.PAPER, "BTCUSDT")
    shelf.is_away = True
    await clock.advance(100_000)
    assert (await catalogue.find(Venue.PAPER, "BTCUSDT")).quote_asset == "USDT"
    with pytest.raises(Missing):
        await catalogue.find(Venue.PAPER, "NOSUCH")


async def test_nobody_knows(raw: RawVenue, catalogue: SymbolCatalogue) -> None:
    """Without a copy an absent venue is `Unavailable`, not an unknown symbol."""
    raw.always(PATH, answer("", status=503))
    with pytest.raises(Unavailable):
        await catalogue.find(Venue.PAPER, "BTCUSDT")


async def test_unconfigured_venue(catalogue: SymbolCatalogue) -> None:
    """A venue that this installation lacks is missing."""
    with pytest.raises(Missing):
        await catalogue.instruments(Venue.LIVE)
