"""The public endpoints, as the unmodified python-binance reads them."""

from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange import translate
from botwarden.exchange.paper.amounts import text
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import MINUTE, House

pytestmark = pytest.mark.anyio


async def test_time_is_the_wall_clock(house: House) -> None:
    """Server time is the machine's, whatever the market's own time is."""
    assert await house.client.ping() == {}
    answered = (await house.client.get_server_time())["serverTime"]
    assert 0 <= house.venue.clock.now_ms() - answered < 5000


async def test_the_catalogue_is_understood(house: House) -> None:
    """Our own adapter reads the rules of every symbol from exchangeInfo."""
    answer = await house.wire.send("GET", "exchangeInfo")
    found, limits = translate.instruments(msgspec.json.encode(answer.body))
    assert set(found) == {"BTCUSDT", "ETHUSDT"}
    btc = found["BTCUSDT"]
    assert (btc.base_asset, btc.quote_asset, btc.status) == ("BTC", "USDT", "TRADING")
    assert (btc.tick_size, btc.step_size, btc.min_notional) == (Decimal("0.01"), Decimal("0.00001"), 5)
    assert limits.weight_per_minute == 6000
    assert limits.orders == {10: 100, 86_400: 200_000}
    (symbol,) = (await house.wire.send("GET", "exchangeInfo", query="symbol=ETHUSDT")).body["symbols"]
    assert symbol["permissionSets"] == [["SPOT"]]
    both = (
        await house.wire.send("GET", "exchangeInfo", query="symbols=%5B%22ETHUSDT%22,%22BTCUSDT%22%5D")
    ).body
    assert [symbol["symbol"] for symbol in both["symbols"]] == ["ETHUSDT", "BTCUSDT"]
    assert (await house.wire.send("GET", "exchangeInfo", query="symbol=NOPE")).code == -1121
    assert (await house.wire.send("GET", "exchangeInfo", query="symbols=x")).code == -1100


async def test_a_thousand_candles_are_there_at_once(house: House) -> None:
    """Backfill is complete from the first moment; the last row is the unfinished bar."""
    rows = await house.client.get_klines(symbol="BTCUSDT", interval="5m", limit=1000)
    assert len(rows) == 1000
    assert [later[0] - earlier[0] for earlier, later in pairwise(rows)] == [300_000] * 999
    assert rows[-1][6] >= house.venue.market.position_ms
    assert all(len(row) == 12 and row[6] == row[0] + 299_999 for row in rows)


async def test_days_are_put_together_from_minutes(open_house: OpenHouse) -> None:
    """Two hundred daily candles can be had; each opens where the one before closed."""
    async with open_house(symbols=["BTCUSDT"]) as house:
        rows = await house.client.get_klines(symbol="BTCUSDT", interval="1d", limit=200)
        assert len(rows) == 200
        assert [row[1] for row in rows[1:]] == [row[4] for row in rows[:-1]]


async def test_prices_and_books_agree(house: House) -> None:
    """Ticker, book ticker, depth and 24-hour ticker tell of the same moment."""
    price = Decimal((await house.client.get_symbol_ticker(symbol="BTCUSDT"))["price"])
    assert price > 0
    book = await house.client.get_orderbook_ticker(symbol="BTCUSDT")
    assert Decimal(book["bidPrice"]) < Decimal(book["askPrice"])
    depth = await house.client.get_order_book(symbol="BTCUSDT", limit=20)
    assert (len(depth["bids"]), len(depth["asks"])) == (20, 20)
    day = await house.client.get_ticker(symbol="BTCUSDT")
    assert Decimal(day["lowPrice"]) <= Decimal(day["lastPrice"]) <= Decimal(day["highPrice"])
    average = Decimal((await house.client.get_avg_price(symbol="BTCUSDT"))["price"])
    assert abs(average / price - 1) < Decimal("0.05")
    assert {ticker["symbol"] for ticker in await house.client.get_all_tickers()} == {"BTCUSDT", "ETHUSDT"}
    assert len(await house.client.get_orderbook_tickers()) == 2
    with pytest.raises(BinanceAPIException, match="Invalid symbol"):
        await house.client.get_symbol_ticker(symbol="NOPEUSDT")


async def test_recent_trades(house: House) -> None:
    """Public trades can be read, with ids that count up."""
    for _ in range(3):
        house.venue.market.step(house.venue.clock.now_ms())
    trades = await house.client.get_recent_trades(symbol="BTCUSDT")
    assert len(trades) >= 3
    assert [trade["id"] for trade in trades] == sorted({trade["id"] for trade in trades})
    from_id = trades[-1]["id"]
    assert await house.client.get_historical_trades(symbol="BTCUSDT", fromId=from_id, limit=1) == [trades[-1]]
    assert [trade["a"] for trade in await house.client.get_aggregate_trades(symbol="BTCUSDT", limit=1)] == [
        house.venue.market.symbols["BTCUSDT"].recent[-1].trade_id
    ]


async def test_the_same_seed_is_the_same_market(
    open_house: OpenHouse, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two servers with one seed show the same candles; another seed shows others."""
    rows = []
    for seed in (5, 5, 6):
        async with open_house(seed=seed, store=tmp_path_factory.mktemp("paper") / "s.sqlite") as house:
            rows.append((await house.client.get_klines(symbol="ETHUSDT", interval="15m", limit=100))[:-1])
    assert rows[0] == rows[1] != rows[2]


async def test_commission_rates(house: House) -> None:
    """The account's rates are a thousandth."""
    rates = (await house.wire.signed("GET", "account/commission", symbol="BTCUSDT")).body
    assert rates["standardCommission"] == {
        "maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000",
    }  # fmt: skip


async def test_statuses_choose_symbols(house: House) -> None:
    """Tickers of one status; a symbol of another one is refused, and so is a status that there is not."""
    house.venue.market.symbols["ETHUSDT"].status = "HALT"
    send = house.wire.send
    for path in ("ticker/price", "ticker/bookTicker", "ticker/24hr"):
        trading = await send("GET", path, query="symbolStatus=TRADING")
        assert [ticker["symbol"] for ticker in trading.body] == ["BTCUSDT"]
        halted = await send("GET", path, query="symbolStatus=HALT")
        assert [ticker["symbol"] for ticker in halted.body] == ["ETHUSDT"]
        assert (await send("GET", path, query="symbol=ETHUSDT&symbolStatus=TRADING")).code == -1220
        assert (await send("GET", path, query="symbol=ETHUSDT&symbolStatus=HALT")).status == 200
        assert (await send("GET", path, query="symbolStatus=SLEEPING")).code == -1122
    assert (await send("GET", "ticker/24hr", query="symbol=BTCUSDT&type=BIG")).code == -1139


async def test_what_symbols_offer(house: House) -> None:
    """The catalogue names every type of order and every rule that orders are held against."""
    [symbol] = (await house.wire.send("GET", "exchangeInfo", query="symbol=BTCUSDT")).body["symbols"]
    assert set(symbol["orderTypes"]) == {
        "LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
    }  # fmt: skip
    assert (symbol["ocoAllowed"], symbol["cancelReplaceAllowed"], symbol["allowTrailingStop"]) == (
        True, True, False,
    )  # fmt: skip
    limits = {name: value for rule in symbol["filters"] for name, value in rule.items()}
    assert (limits["maxNumOrders"], limits["maxNumAlgoOrders"], limits["maxNumOrderLists"]) == (200, 5, 20)


@pytest.mark.parametrize(("size", "minutes"), [("1m", 1), ("15m", 15), ("4h", 240), ("1d", 1440)])
async def test_a_window_is_its_minutes_summed(house: House, size: str, minutes: int) -> None:
    """The ticker of a window tells what its minutes tell together, the unfinished one included."""
    told = await house.client.get_symbol_ticker_window(symbol="BTCUSDT", windowSize=size)
    shown_ms = told["closeTime"] - told["closeTime"] % MINUTE
    assert told["openTime"] == shown_ms + MINUTE - minutes * MINUTE
    closed = house.venue.market.source.minutes("BTCUSDT", told["openTime"], shown_ms)
    assert len(closed) == minutes - 1
    if closed:
        assert Decimal(told["openPrice"]) == Decimal(text(closed[0].open))
    assert Decimal(told["highPrice"]) >= max((Decimal(text(bar.high)) for bar in closed), default=0)
    assert told["count"] >= sum(bar.trades for bar in closed)
    assert Decimal(told["priceChange"]) == Decimal(told["lastPrice"]) - Decimal(told["openPrice"])


async def test_the_trading_day_begins_at_midnight(house: House) -> None:
    """The ticker of the trading day begins at midnight UTC of the market's time."""
    both = await house.client.v3_get_ticker_trading_day(symbols='["BTCUSDT","ETHUSDT"]', type="MINI")
    assert [one["symbol"] for one in both] == ["BTCUSDT", "ETHUSDT"]
    assert all(one["openTime"] % 86_400_000 == 0 for one in both)
    assert "weightedAvgPrice" not in both[0]


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("ticker", "symbol=BTCUSDT&windowSize=90m", -1131),
        ("ticker", "symbol=BTCUSDT&type=TINY", -1139),
        ("ticker", "windowSize=1h", -1102),
        ("ticker/tradingDay", "symbol=NOTHING", -1121),
    ],
)
async def test_windows_that_do_not_exist(house: House, path: str, query: str, code: int) -> None:
    """A window, a kind or a symbol that does not exist is refused with the venue's code."""
    assert (await house.wire.send("GET", path, query=query, key=None)).code == code
