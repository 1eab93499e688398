"""A real process is killed in the middle of its work: whatever was answered is there afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange.paper.admin import PaperAdmin
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET, TOKEN, PythonBinance, client_of

pytestmark = [pytest.mark.anyio, pytest.mark.system]

RICH = 10_000_000
#: Where a market with a seed begins.
BEGAN_MS = 1_767_225_600_000

COMMAND = (
    sys.executable, "-c", "from botwarden.cli.paper_exchange import command; command()",
    "--port", "0", "--seed", "7", "--speed", "60", "--symbol", "BTCUSDT", "--admin-token", TOKEN,
)  # fmt: skip


@contextmanager
def process(store: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `paper-exchange` as a process; yields it and its address."""
    child = subprocess.Popen(
        [*COMMAND, "--store", str(store), *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert "http://" in line, line + child.stdout.read()
        yield child, line[line.index("http://") :].strip()
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


async def buy_until_cut(client: PythonBinance, name: str, answered: list[dict[str, object]]) -> None:
    """Buy and buy, writing down what was answered, until the server is gone."""
    number = 0
    while True:
        try:
            answered.append(
                await client.order_market_buy(
                    symbol="BTCUSDT", quantity="0.001", newClientOrderId=f"{name}-{number}"
                )
            )
        except Exception as cut:
            if isinstance(cut, BinanceAPIException):
                raise
            return
        number += 1


async def killed_at_work(
    child: subprocess.Popen[str], origin: str, answered: list[dict[str, object]]
) -> dict[str, Any]:
    """Kill the exchange while four clients order; returns its last known status."""
    client = client_of(origin)
    try:
        async with PaperAdmin(origin, TOKEN) as admin, anyio.create_task_group() as tasks:
            await admin.register(KEY, SECRET, {"USDT": str(RICH)})
            for name in "abcd":
                tasks.start_soon(buy_until_cut, client, name, answered)
            while True:
                status = await admin.status()
                if len(answered) >= 60 and status["market_time"] >= BEGAN_MS + 120_000:
                    break
            os.kill(child.pid, signal.SIGKILL)
            return status
    finally:
        await client.session.close()


async def pages(read: Any, parameter: str, field: str) -> list[dict[str, Any]]:
    """Read everything, page by page."""
    found: list[dict[str, Any]] = []
    while page := await read(
        symbol="BTCUSDT", limit=1000, **{parameter: found[-1][field] + 1 if found else 1}
    ):
        found += page
    return found


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """Killed while four clients order: every answered order is there, balances add up, the market goes on."""
    store = tmp_path / "paper.sqlite"
    answered: list[dict[str, object]] = []
    with process(store) as (child, origin):
        before = await killed_at_work(child, origin, answered)
    with process(store) as (_, origin):
        async with PaperAdmin(origin, TOKEN) as admin:
            after = await admin.status()
        client = client_of(origin)
        try:
            orders = {
                order["orderId"]: order for order in await pages(client.get_all_orders, "orderId", "orderId")
            }
            trades = await pages(client.get_my_trades, "fromId", "id")
            held = {item["asset"]: Decimal(item["free"]) for item in (await client.get_account())["balances"]}
        finally:
            await client.session.close()
    for answer in answered:
        kept = orders[answer["orderId"]]
        assert (kept["clientOrderId"], kept["executedQty"], kept["cummulativeQuoteQty"]) == (
            answer["clientOrderId"], answer["executedQty"], answer["cummulativeQuoteQty"],
        )  # fmt: skip
    assert len(orders) - len(answered) <= 4, "only the orders in flight may be there without an answer"
    assert sum(Decimal(order["cummulativeQuoteQty"]) for order in orders.values()) == RICH - held["USDT"]
    bought = sum(Decimal(trade["qty"]) - Decimal(trade["commission"]) for trade in trades)
    assert bought == held["BTC"]
    assert len({trade["id"] for trade in trades}) == len(trades)
    # Written about once a second, sixty times as fast: at most some seconds are seen twice.
    assert before["market_time"] - 3 * 60_000 <= after["market_time"]
    assert after["market_time"] > BEGAN_MS
    assert after["market"] == before["market"]


@asynccontextmanager
async def pace(origin: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Yields what waits for the market's next price."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{origin}/ws/btcusdt@trade") as socket:
        yield socket.receive


async def stop_until_killed(child: subprocess.Popen[str], origin: str) -> list[str]:
    """Keep stops close to a fast market; kill the exchange when some have been triggered and some stand."""
    client, placed = client_of(origin), []
    try:
        async with PaperAdmin(origin, TOKEN) as admin:
            await admin.register(KEY, SECRET, {"USDT": "0", "BTC": "100"})
        async with pace(origin) as price:
            while True:
                await price()
                stand = await client.v3_get_open_order_list()
                if stand and len(placed) - len(stand) >= 3:
                    os.kill(child.pid, signal.SIGKILL)
                    return placed
                await guard(client, len(placed), placed)
    finally:
        await client.session.close()


async def guard(client: PythonBinance, number: int, placed: list[str]) -> None:
    """Offer some coins a little above and a little below the price; the market may be faster."""
    price = Decimal((await client.get_symbol_ticker(symbol="BTCUSDT"))["price"])
    with suppress(BinanceAPIException):
        await client.create_oco_order(
            symbol="BTCUSDT", side="SELL", quantity="0.01", listClientOrderId=f"list-{number}",
            aboveType="LIMIT_MAKER", abovePrice=f"{price * Decimal('1.001'):.2f}",
            belowType="STOP_LOSS", belowStopPrice=f"{price * Decimal('0.999'):.2f}",
        )  # fmt: skip
        placed.append(f"list-{number}")


async def test_triggers_survive_kill_9(tmp_path: Path) -> None:
    """Killed while the market triggers stops: each list has happened once, or stands and is armed."""
    store = tmp_path / "paper.sqlite"
    with process(store, "--speed", "600") as (child, origin):
        placed = await stop_until_killed(child, origin)
    with process(store, "--speed", "600") as (_, origin):
        client = client_of(origin)
        try:
            lists = await client.v3_get_all_order_list(limit=1000)
            assert {it["listClientOrderId"] for it in lists} >= set(placed)
            async with pace(origin) as price:
                while await client.v3_get_open_order_list():
                    await price()
            orders = {it["orderId"]: it for it in await pages(client.get_all_orders, "orderId", "orderId")}
            trades = await pages(client.get_my_trades, "fromId", "id")
            btc = await client.get_asset_balance("BTC")
        finally:
            await client.session.close()
    for listed in lists:
        legs = [orders[leg["orderId"]] for leg in listed["orders"]]
        assert sum(Decimal(leg["executedQty"]) for leg in legs) <= Decimal("0.01")
        assert sum(leg["status"] == "EXPIRED" and leg["executedQty"] == "0.00000000" for leg in legs) == 1
    sold = sum(Decimal(trade["qty"]) for trade in trades)
    assert sold == sum(Decimal(order["executedQty"]) for order in orders.values())
    assert Decimal(btc["free"]) + Decimal(btc["locked"]) == 100 - sold


async def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """A terminated exchange ends with 0 at once, also with a stream open."""
    store = tmp_path / "paper.sqlite"
    with process(store) as (child, origin):
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{origin}/ws/btcusdt@trade") as socket:
            await socket.receive()
            child.send_signal(signal.SIGTERM)
            assert await anyio.to_thread.run_sync(lambda: child.wait(5)) == 0


def test_a_store_has_one_owner(tmp_path: Path) -> None:
    """A second exchange on the same store says so and leaves it alone."""
    store = tmp_path / "paper.sqlite"
    with process(store):
        second = subprocess.run(
            [*COMMAND, "--store", str(store)], capture_output=True, text=True, timeout=20, check=False
        )
    assert second.returncode == 1
    assert "in use by another paper exchange" in second.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--market", "live", "--speed", "2"], "a live market moves at speed 1"),
        (["--market", "live", "--speed", "1", "--live-url", "http://127.0.0.1:9"], "does not answer"),
        (["--market", "replay"], "belong together"),
        (["--symbol", "NOPEUSDT"], "has no NOPEUSDT"),
        (["--speed", "0"], "above zero"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, words: list[str], why: str) -> None:
    """What cannot be done is said in one line, and nothing starts."""
    done = subprocess.run(
        [*COMMAND, "--store", str(tmp_path / "p.sqlite"), *words],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert why in done.stderr
    assert "Traceback" not in done.stderr


async def test_an_orderly_restart_goes_on_exactly_there(open_house: OpenHouse) -> None:
    """Position, balances, resting orders and the use of ids go on where they were."""
    async with open_house(speed=60.0) as house:
        bought = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
        price = f"{Decimal(bought['fills'][0]['price']) / 2:.2f}"
        resting = await house.client.order_limit_buy(
            symbol="BTCUSDT", quantity="0.01", price=price, newClientOrderId="rests"
        )
        balances = (await house.client.get_account())["balances"]
        market = house.venue.market
    async with open_house(speed=60.0) as house:
        assert house.venue.market.position_ms >= market.position_ms
        assert (await house.client.get_account())["balances"] == balances
        assert [order["orderId"] for order in await house.client.get_open_orders()] == [resting["orderId"]]
        assert (await house.wire.order(newClientOrderId="rests")).code == -2010
        await house.client.cancel_order(symbol="BTCUSDT", origClientOrderId="rests")
        again = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
        assert again["orderId"] == resting["orderId"] + 1
        assert again["fills"][0]["tradeId"] > bought["fills"][-1]["tradeId"]
