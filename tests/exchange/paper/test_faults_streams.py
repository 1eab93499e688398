"""What the unmodified client sees when streams break, lie or fall silent."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import pytest
from binance import BinanceSocketManager
from binance.exceptions import ReadLoopClosed
from websockets.exceptions import InvalidStatus

from botwarden.errors import Refused
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_events import ConnectionFault, How, StreamFault
from botwarden.exchange.port import Credentials, StreamLost, StreamRestored
from botwarden.exchange.streams import StreamRules
from botwarden.exchange.venues import paper_urls
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from botwarden.trading.candles import PriceTick
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House

pytestmark = pytest.mark.anyio

TRADES, CANDLES = "btcusdt@trade", "btcusdt@kline_1m"


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[House]:
    """A market whose minutes last a fifth of a second."""
    async with open_house(speed=300.0) as one:
        yield one


@pytest.fixture
async def admin(house: House) -> AsyncIterator[PaperAdmin]:
    """The client of the admin endpoints."""
    async with PaperAdmin(house.origin, TOKEN) as one:
        yield one
        await one.clear_faults()


@asynccontextmanager
async def listening(house: House, *streams: str) -> AsyncIterator[Any]:
    """A combined socket of python-binance."""
    kind = type("Local", (BinanceSocketManager,), {"STREAM_URL": house.origin.replace("http", "ws") + "/"})
    async with kind(house.client, max_queue_size=10_000).multiplex_socket(list(streams)) as socket:
        yield socket


def connected(house: House, *streams: str) -> Any:
    """A socket that shows how it ends."""
    return house.wire.http.ws_connect(f"{house.origin}/stream?streams={'/'.join(streams)}")


async def until_error(socket: Any) -> dict[str, Any]:
    """Return the client's own message about its connection."""
    while True:
        told: dict[str, Any] = await socket.recv()
        if told.get("e") == "error":
            return told


async def until_again(socket: Any) -> dict[str, Any]:
    """Return the first event after a reconnect; the library hangs if it is closed while it reconnects."""
    while True:
        told: dict[str, Any] = await socket.recv()
        if told.get("e") != "error":
            return told


async def ids(socket: Any, count: int) -> list[int]:
    """Return the ids of the next trades."""
    return [int((await socket.recv())["data"]["t"]) for _ in range(count)]


# Connections that end -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "code", "seen"), [
    ("close", 1000, 1000), ("close", 1001, 1001), ("close", 1008, 1008), ("close", 1011, 1011),
    ("shutdown", 1001, 1001), ("closed", 1001, 1006), ("reset", 1001, 1006),
])  # fmt: skip
async def test_how_connections_end(house: House, admin: PaperAdmin, how: How, code: int, seen: int) -> None:
    """The code of the closing frame is the one that was ordered; without a frame it is 1006."""
    async with connected(house, TRADES) as socket:
        await socket.receive_json()
        assert await admin.end_streams("ethusdt@*", how=how, code=code) == 0
        assert await admin.end_streams("btc*", how=how, code=code) == 1
        told = [message.json()["stream"] async for message in socket]
        assert socket.close_code == seen
        assert ("!serverShutdown" in told) == (how == "shutdown")
    with pytest.raises(Refused, match="code"):
        await admin.end_streams(code=1006)


@pytest.mark.parametrize(("fault", "kind"), [
    ({"effect": "close", "code": 1001}, "ConnectionClosedOK"),
    ({"effect": "close", "code": 1011, "reason": "oops"}, "ConnectionClosedError"),
    ({"effect": "reset"}, "ConnectionClosedError"),
])  # fmt: skip
async def test_python_binance_reconnects(
    house: House, admin: PaperAdmin, fault: dict[str, Any], kind: str
) -> None:
    """At the n-th event the connection ends; the library says so, comes again, and goes on with a gap."""
    await admin.add_fault(StreamFault(on=TRADES, nth=3, **fault))
    async with listening(house, TRADES) as socket:
        first = await ids(socket, 2)
        told, again = await until_error(socket), await until_again(socket)
    # The second kind: the library looked at the connection before it read on.
    assert told["type"] in (kind, "BinanceWebsocketClosed")
    assert again["data"]["t"] > first[-1] + 1


async def test_python_binance_survives_a_shutdown(house: House, admin: PaperAdmin) -> None:
    """The library may miss an announcement that the end follows at once; it comes again all the same."""
    async with listening(house, TRADES) as socket:
        await ids(socket, 1)
        await admin.end_streams(how="shutdown")
        told = await until_error(socket)
        await until_again(socket)
    assert told["type"] in ("ConnectionClosedOK", "BinanceWebsocketClosed")


async def test_no_connection_for_a_while(house: House, admin: PaperAdmin) -> None:
    """New websockets are refused, with a page or without a byte, while old ones go on; then all is well."""
    async with connected(house, TRADES) as old:
        await admin.add_fault(ConnectionFault(on="/stream", effect="html", status=503, retry_after_s=9))
        await admin.add_fault(ConnectionFault(on="/stream", effect="reset", name="gone", times=None))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(house, TRADES):
                pass
        assert (refused.value.status, (refused.value.headers or {})["Retry-After"]) == (503, "9")
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            async with connected(house, TRADES):
                pass
        assert (await old.receive_json())["stream"] == TRADES
        assert (await admin.wait_for_fault("gone"))["reached"]
        await admin.clear_faults("gone")
        async with connected(house, TRADES) as socket:
            await socket.receive_json()


@pytest.mark.parametrize("from_the_start", [True, False])
async def test_half_open(house: House, admin: PaperAdmin, from_the_start: bool) -> None:
    """A deaf connection stands, but answers no ping and says nothing: only who pings finds out."""
    if from_the_start:
        await admin.add_fault(ConnectionFault(on="/stream", effect="deaf"))
    url = f"{house.origin}/stream?streams={TRADES}"
    async with house.wire.http.ws_connect(url, heartbeat=0.4) as socket:
        if not from_the_start:
            await socket.receive_json()
            await admin.end_streams(how="deaf")
        async for _ in socket:
            pass
        assert socket.close_code == 1006
        assert isinstance(socket.exception(), aiohttp.ServerTimeoutError)
    await admin.clear_faults()
    async with connected(house, TRADES) as socket:
        await socket.receive_json()


async def test_a_server_that_never_pings(house: House, admin: PaperAdmin) -> None:
    """A connection without pings tells what it should; the usual one begins with a ping."""
    async with house.wire.http.ws_connect(f"{house.origin}/ws/{TRADES}", autoping=False) as usual:
        assert (await usual.receive()).type is aiohttp.WSMsgType.PING
    await admin.add_fault(ConnectionFault(on="/ws/*", effect="pingless", name="dumb"))
    async with house.wire.http.ws_connect(f"{house.origin}/ws/{TRADES}", autoping=False) as socket:
        assert {(await socket.receive()).type for _ in range(20)} == {aiohttp.WSMsgType.TEXT}
    assert (await admin.faults())[0]["done"] == 1


async def test_a_server_that_hears_no_pong(house: House, admin: PaperAdmin) -> None:
    """Who answers every ping is cut off nevertheless; the library says so and comes again."""
    await admin.add_fault(ConnectionFault(on="/stream", effect="unheard", cut_after_s=0.4))
    async with listening(house, TRADES) as socket:
        first, _, again = await ids(socket, 1), await until_error(socket), await until_again(socket)
    assert again["data"]["t"] > first[0]


@pytest.mark.parametrize("door", ["/stream", "/ws", "/ws-api/v3"])
async def test_too_many_connections(open_house: OpenHouse, door: str) -> None:
    """Above so many websockets in five minutes an address is turned away, also with others closed."""
    async with open_house(connection_limit=3) as house, PaperAdmin(house.origin, TOKEN) as admin:
        before_ms = house.venue.clock.now_ms()
        await admin.set_clock(offset_ms=300_000 - before_ms % 300_000)  # A window begins.
        for _ in range(3):
            async with house.wire.http.ws_connect(house.origin + door):
                pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.wire.http.ws_connect(house.origin + door)
        assert refused.value.status == 429
        assert 290 < int((refused.value.headers or {})["Retry-After"]) <= 300
        await admin.set_clock(offset_ms=600_000 - before_ms % 300_000)
        async with house.wire.http.ws_connect(house.origin + door):
            pass


async def test_python_binance_is_turned_away(open_house: OpenHouse) -> None:
    """The library that opens one connection too many passes the refusal on and does not try again."""
    async with open_house(connection_limit=1) as house:
        async with connected(house, TRADES):
            pass
        with pytest.raises(InvalidStatus, match="429"):
            await listening(house, TRADES).__aenter__()


# Events that do not come as they should -----------------------------------------------------------------


async def test_a_dropped_event_leaves_a_gap(house: House, admin: PaperAdmin) -> None:
    """Exactly the k-th event is missing."""
    await admin.add_fault(StreamFault(on=TRADES, nth=3, effect="drop"))
    async with listening(house, TRADES) as socket:
        got = await ids(socket, 6)
    assert [got[0] + n for n in (0, 1, 3, 4, 5, 6)] == got


async def test_an_event_comes_twice(house: House, admin: PaperAdmin) -> None:
    """Exactly the k-th event is told twice."""
    await admin.add_fault(StreamFault(on=TRADES, nth=2, effect="twice"))
    async with listening(house, TRADES) as socket:
        got = await ids(socket, 5)
    assert [got[0] + n for n in (0, 1, 1, 2, 3)] == got


@pytest.mark.parametrize("wait", [{"held": True}, {"delay_s": 0.05}])
async def test_an_event_comes_late(house: House, admin: PaperAdmin, wait: dict[str, Any]) -> None:
    """A late event is overtaken by those behind it, and is told in the end."""
    name = await admin.add_fault(StreamFault(on=TRADES, nth=2, effect="late", **wait))
    async with listening(house, TRADES) as socket:
        got = await ids(socket, 2)
        assert got[1] == got[0] + 2 or "held" not in wait
        await admin.release_fault(name)
        while got[0] + 1 not in got:
            got += await ids(socket, 1)
    assert sorted(got) == [got[0] + n for n in range(len(got))]
    assert (await admin.faults())[0]["done"] == 1


@pytest.mark.parametrize(("effect", "count"), [("drop", 0), ("twice", 2)])
async def test_a_candle_closes_never_or_twice(
    house: House, admin: PaperAdmin, effect: Any, count: int
) -> None:
    """Fields of the event choose: of one candle the closing word is missing, or is said twice."""
    fault = StreamFault(on="*@kline_*", where={"k.x": True}, nth=2, effect=effect)
    await admin.add_fault(fault)
    closed: list[int] = []
    async with listening(house, CANDLES) as socket:
        while len(set(closed)) < 3:
            bar = (await socket.recv())["data"]["k"]
            if bar["x"]:
                closed.append(bar["t"])
    told = [closed.count(closed[0] + 60_000 * number) for number in range(3)]
    assert told == [1, count, 1]


async def test_silence_with_a_living_connection(house: House, admin: PaperAdmin) -> None:
    """One stream is silent, its neighbour and the connection itself are not; cleared, it speaks again."""
    await admin.add_fault(StreamFault(on=TRADES, effect="drop", times=None, name="silence"))
    async with connected(house, TRADES, "ethusdt@trade") as socket:
        assert {(await socket.receive_json())["stream"] for _ in range(30)} == {"ethusdt@trade"}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        while (await socket.receive_json()).get("id") != 1:
            pass
        assert (await admin.faults())[0]["done"] >= 10
        await admin.clear_faults("silence")
        while (await socket.receive_json())["stream"] != TRADES:
            pass


async def test_bad_json_ends_the_library(house: House, admin: PaperAdmin) -> None:
    """A message that is no JSON is told as an error, and the library never reads again."""
    await admin.add_fault(StreamFault(on=TRADES, nth=2, effect="replace", message='{"e":"tra'))
    async with listening(house, TRADES) as socket:
        assert (await until_error(socket))["type"] == "JSONDecodeError"
        with pytest.raises(ReadLoopClosed):
            await socket.recv()


async def test_unknown_events_pass_through(house: House, admin: PaperAdmin) -> None:
    """An event of a kind that nobody knows arrives as it is."""
    await admin.add_fault(StreamFault(on=TRADES, nth=2, effect="replace", message='{"e":"riddle"}'))
    async with listening(house, TRADES) as socket:
        told = [await socket.recv() for _ in range(3)]
    assert [one["data"]["e"] for one in told] == ["trade", "riddle", "trade"]


@pytest.mark.parametrize("trouble", ["silence", "shutdown"])
async def test_our_adapter_recovers(house: House, admin: PaperAdmin, trouble: str) -> None:
    """Our adapter tells its readers that the stream is lost, comes again, and the prices go on."""
    faults = {
        "silence": StreamFault(on=TRADES, nth=5, effect="drop", times=None, name="trouble"),
        "shutdown": StreamFault(on=TRADES, nth=5, effect="shutdown", name="trouble"),
    }
    seen: list[type] = []
    async with adapter(house) as exchange:
        stream = exchange.market(Venue.PAPER).stream("BTCUSDT", [])
        async for event in stream:
            if not seen or seen[-1] is not type(event):
                seen.append(type(event))
            if seen == [StreamRestored] and isinstance(event, StreamRestored):
                await admin.add_fault(faults[trouble])
            if isinstance(event, StreamLost):
                await admin.clear_faults()
            if seen[-3:] == [StreamLost, StreamRestored, PriceTick]:
                break
        await stream.aclose()
    assert seen == [StreamRestored, PriceTick, StreamLost, StreamRestored, PriceTick]


@asynccontextmanager
async def adapter(house: House) -> AsyncIterator[BinanceExchange]:
    """Our adapter, quick to give a silent stream up."""

    async def open_secret(_api_key_id: ApiKeyId) -> Credentials:
        return Credentials(api_key=KEY, secret_key=SECRET)

    made = BinanceExchange(
        {Venue.PAPER: paper_urls(house.origin)},
        open_secret,
        SystemClock(),
        rng=random.Random(1),  # noqa: S311 - nothing secret is drawn
        stream_rules=StreamRules(silence_s=0.5, first_backoff_s=0.01),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        yield made
        tasks.cancel_scope.cancel()
    await made.close()
