"""Market streams over real sockets."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from botwarden.exchange.paper import connection
from botwarden.exchange.paper.connection import Client
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import House

pytestmark = pytest.mark.anyio

Socket = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def fast(open_house: OpenHouse) -> AsyncIterator[House]:
    """A market whose minutes last a tenth of a second."""
    async with open_house(speed=600.0) as house:
        yield house


async def connect(house: House, path: str) -> Socket:
    """Open a stream connection."""
    return await house.wire.http.ws_connect(house.origin + path)


async def heard(socket: Socket, count: int, *, only: str = "") -> list[Any]:
    """Return the next messages of one kind."""
    found: list[Any] = []
    with anyio.fail_after(15):
        while len(found) < count:
            message = json.loads((await socket.receive()).data)
            if message.get("e", "") == only or not only:
                found.append(message)
    return found


async def test_candles_close_exactly_once_and_equal_rest(fast: House) -> None:
    """Each bar of a kline stream has one x:true, bars follow each other, and REST shows the same numbers."""
    async with await connect(fast, "/stream?streams=btcusdt@kline_1m/btcusdt@kline_3m") as socket:
        closed: dict[str, list[Any]] = {"1m": [], "3m": []}
        with anyio.fail_after(15):
            while len(closed["3m"]) < 5:
                message = json.loads((await socket.receive()).data)
                bar = message["data"]["k"]
                assert message["stream"] == f"btcusdt@kline_{bar['i']}"
                if bar["x"]:
                    closed[bar["i"]].append(bar)
    for interval, bars in closed.items():
        assert set(Counter(bar["t"] for bar in bars).values()) == {1}
        length = bars[0]["T"] - bars[0]["t"] + 1
        assert [bar["t"] for bar in bars] == [bars[0]["t"] + length * n for n in range(len(bars))]
        rows = await fast.client.get_klines(
            symbol="BTCUSDT", interval=interval, startTime=bars[0]["t"], limit=len(bars)
        )
        keys = ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")
        assert [[bar[key] for key in keys] for bar in bars] == rows


async def test_trades_carry_the_price(fast: House) -> None:
    """A raw trade stream is not wrapped; ids count up; times are the wall clock's."""
    async with await connect(fast, "/ws/ethusdt@trade") as socket:
        trades = await heard(socket, 20, only="trade")
    assert [trade["t"] for trade in trades] == list(range(trades[0]["t"], trades[0]["t"] + 20))
    assert {trade["s"] for trade in trades} == {"ETHUSDT"}
    assert all(abs(trade["T"] - fast.venue.clock.now_ms()) < 60_000 for trade in trades)


async def test_other_streams(fast: House) -> None:
    """Aggregated trades, tickers and books come in the venue's forms."""
    names = [
        "btcusdt@aggTrade",
        "btcusdt@bookTicker",
        "btcusdt@miniTicker",
        "!miniTicker@arr",
        "btcusdt@depth5@100ms",
    ]
    got: dict[str, Any] = {}
    async with await connect(fast, "/stream?streams=" + "/".join(names)) as socket:
        with anyio.fail_after(15):
            while set(got) != set(names):
                message = json.loads((await socket.receive()).data)
                got[message["stream"]] = message["data"]
    assert set(got["btcusdt@bookTicker"]) == {"u", "s", "b", "B", "a", "A"}
    assert float(got["btcusdt@bookTicker"]["b"]) < float(got["btcusdt@bookTicker"]["a"])
    assert got["btcusdt@aggTrade"]["e"] == "aggTrade"
    assert got["btcusdt@miniTicker"]["e"] == "24hrMiniTicker"
    assert {ticker["s"] for ticker in got["!miniTicker@arr"]} == {"BTCUSDT", "ETHUSDT"}
    assert len(got["btcusdt@depth5@100ms"]["bids"]) == 5


async def test_live_subscriptions(fast: House) -> None:
    """SUBSCRIBE, LIST_SUBSCRIPTIONS and UNSUBSCRIBE answer with the request's id and do what they say."""
    async with await connect(fast, "/ws") as socket:

        async def ask(**request: Any) -> Any:
            await socket.send_json(request)
            while True:
                message = json.loads((await socket.receive()).data)
                if "e" not in message:
                    return message

        assert await ask(method="SUBSCRIBE", params=["btcusdt@trade", "nope@trade"], id=7) == {
            "result": None,
            "id": 7,
        }
        await heard(socket, 3, only="trade")
        listed = await ask(method="LIST_SUBSCRIPTIONS", id="x")
        assert listed == {"result": ["btcusdt@trade", "nope@trade"], "id": "x"}
        assert await ask(method="UNSUBSCRIBE", params=["btcusdt@trade"], id=8) == {"result": None, "id": 8}
        assert (await ask(method="LIST_SUBSCRIPTIONS", id=9))["result"] == ["nope@trade"]
        assert (await ask(method="DANCE", id=10))["code"] == 2
        await socket.send_str("{")
        assert json.loads((await socket.receive()).data)["code"] == 3
    assert "btcusdt@trade" not in fast.venue.streams._clients


async def test_pings_are_answered(fast: House) -> None:
    """The server pings at once, and answers pings of the client with their payload."""
    http = fast.wire.http
    async with http.ws_connect(fast.origin + "/ws", autoping=False) as socket:
        first = await socket.receive()
        assert first.type is aiohttp.WSMsgType.PING
        await socket.pong(first.data)
        await socket.ping(b"hello")
        answer = await socket.receive()
        assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"hello")


async def test_who_asks_too_much_is_cut_off(fast: House) -> None:
    """A client that floods the server with requests loses its connection."""
    async with await connect(fast, "/ws") as socket:
        for number in range(40):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": number})
        with anyio.fail_after(10):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_slow_reader_is_dropped_and_nobody_waits(
    fast: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does not read is cut off when the queue is full; the market and other readers go on."""
    # A shorter queue, so that it is full soon.
    monkeypatch.setattr(connection, "QUEUE", 50)
    reader = await anyio.connect_tcp("127.0.0.1", int(fast.origin.rpartition(":")[2]))
    names = "btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker/ethusdt@trade"
    upgrade = (
        f"GET /stream?streams={names} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    )
    await reader.send("".join(f"{line}\r\n" for line in (*upgrade, "")).encode())
    hub = fast.venue.streams
    while "btcusdt@aggTrade" not in hub._clients:
        await anyio.lowlevel.checkpoint()
    (client,) = hub._clients["btcusdt@aggTrade"]
    async with await connect(fast, "/ws/ethusdt@trade") as socket:
        with anyio.fail_after(20):
            while not client.dropped.is_set():
                # The pipe to the client holds some 100 KiB: fill it faster than the market would.
                for symbol in fast.venue.market.symbols.values():
                    for _ in range(50):
                        fast.venue.market.trade(symbol, symbol.price or 1, 1000, 0, sold=False)
                await heard(socket, 20)
            while "btcusdt@aggTrade" in hub._clients:
                await anyio.lowlevel.checkpoint()
        await heard(socket, 5)
    await reader.aclose()


async def test_a_full_queue_drops_the_client() -> None:
    """Offering never waits: the message that does not fit ends the client."""
    client = Client(is_combined=False)
    for _ in range(connection.QUEUE):
        client.offer("x")
    assert not client.dropped.is_set()
    client.offer("one too many")
    assert client.dropped.is_set()
    assert client.queue.qsize() == connection.QUEUE


async def test_the_day_at_length(fast: House) -> None:
    """The ticker stream tells what GET ticker/24hr shows, and each is of one moment."""
    async with await connect(fast, "/ws/btcusdt@ticker") as socket:
        (told,) = await heard(socket, 1, only="24hrTicker")
    shown = await fast.client.get_ticker(symbol="BTCUSDT")
    assert told["s"] == shown["symbol"] == "BTCUSDT"
    assert float(told["l"]) <= float(told["c"]) <= float(told["h"])
    assert float(told["b"]) < float(told["a"])
    assert told["C"] - told["O"] > 0
    assert told["L"] <= shown["lastId"]
    assert float(told["p"]) == pytest.approx(float(told["c"]) - float(told["o"]))


async def test_microseconds_for_who_asks(fast: House) -> None:
    """Each connection hears times in its own unit; ids and amounts are the same."""
    async with (
        await connect(fast, "/stream?streams=btcusdt@trade&timeUnit=MICROSECOND") as fine,
        await connect(fast, "/stream?streams=btcusdt@trade") as coarse,
    ):
        in_micros = {one["data"]["t"]: one["data"] for one in await heard(fine, 200)}
        plain = {one["data"]["t"]: one["data"] for one in await heard(coarse, 200)}
    both = in_micros.keys() & plain.keys()
    assert both
    for trade_id in both:
        assert in_micros[trade_id]["T"] // 1000 == plain[trade_id]["T"]
        assert in_micros[trade_id] | {"T": 0, "E": 0} == plain[trade_id] | {"T": 0, "E": 0}


async def test_an_unknown_unit_is_no_stream(fast: House) -> None:
    """A unit that the venue does not have is refused before the connection opens."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(fast, "/ws/btcusdt@trade?timeUnit=SECOND")
    assert refused.value.status == 400
