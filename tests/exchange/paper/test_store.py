"""The store tells what is on disk, and fails for good when it cannot write."""

import json
import sqlite3
from pathlib import Path

import anyio
import pytest

from botwarden.exchange.paper import changes
from botwarden.exchange.paper.store import VERSION, Store, StoreError
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET

pytestmark = pytest.mark.anyio


async def test_what_is_settled_is_on_disk(tmp_path: Path) -> None:
    """Changes handed over one by one are settled in their order, and a later owner reads them."""
    kept = Store(tmp_path / "s.sqlite")
    for number in range(1, 200):
        kept.write(
            [changes.put_account(number, f"k{number}", "s"), changes.put_balance(number, "USDT", 10**30, 0)]
        )
    await kept.settled()
    assert len(kept.accounts()) == 199
    kept.write([changes.put_position("m", 5)])
    kept.close()
    again = Store(tmp_path / "s.sqlite")
    assert again.position("m") == 5
    assert {free for _, _, free, _ in again.balances()} == {10**30}
    again.close()


async def test_a_failed_write_is_final(tmp_path: Path) -> None:
    """Nothing of a change that fails is kept; who waits for it, or for the store's failure, is told."""
    kept = Store(tmp_path / "s.sqlite")
    kept.write([changes.put_account(1, "k", "s"), ("INSERT INTO nowhere VALUES (1)", ())])
    with pytest.raises(StoreError, match="nowhere"):
        await kept.settled()
    with pytest.raises(StoreError, match="nowhere"), anyio.fail_after(5):
        await kept.failure()
    kept.write([changes.put_account(2, "l", "s")])
    with pytest.raises(StoreError), anyio.fail_after(5):
        await kept.settled()
    kept.close()
    again = Store(tmp_path / "s.sqlite")
    assert again.accounts() == []
    again.close()


async def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    """A foreign file is refused and left alone."""
    path = tmp_path / "s.sqlite"
    path.write_bytes(b"not a database, but long enough to look like one " * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(path)


#: What the first version wrote, cut down to what there has to be.
FIRST = """
CREATE TABLE accounts (
    account_id INTEGER PRIMARY KEY, api_key TEXT NOT NULL UNIQUE, secret_key TEXT NOT NULL
);
CREATE TABLE balances (
    account_id INTEGER NOT NULL REFERENCES accounts, asset TEXT NOT NULL, free TEXT NOT NULL,
    locked TEXT NOT NULL, PRIMARY KEY (account_id, asset)
) WITHOUT ROWID;
CREATE TABLE orders (
    symbol TEXT NOT NULL, order_id INTEGER NOT NULL, account_id INTEGER NOT NULL,
    client_order_id TEXT NOT NULL, is_open INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (symbol, order_id)
) WITHOUT ROWID;
CREATE TABLE trades (
    symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, account_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (symbol, trade_id)
) WITHOUT ROWID;
"""

OLD_ORDER = {
    "symbol": "BTCUSDT", "order_id": 7, "account_id": 1, "client_order_id": "old", "side": "BUY",
    "type": "LIMIT", "time_in_force": "GTC", "status": "PARTIALLY_FILLED", "price": 30_000 * 10**8,
    "quantity": 2 * 10**7, "quote_quantity": 0, "executed": 10**7, "executed_quote": 3000 * 10**8,
    "locked": 3000 * 10**8, "created_ms": 5, "updated_ms": 6, "expiry_reason": None,
}  # fmt: skip
OLD_TRADE = {
    "symbol": "BTCUSDT", "trade_id": 9, "order_id": 7, "account_id": 1, "price": 30_000 * 10**8,
    "quantity": 10**7, "quote_quantity": 3000 * 10**8, "commission": 10**4, "commission_asset": "BTC",
    "time_ms": 6, "is_buyer": True, "is_maker": True,
}  # fmt: skip


async def test_a_store_of_the_first_version_goes_on(open_house: OpenHouse, tmp_path: Path) -> None:
    """Accounts, orders and trades of an earlier version are there and alive, beside what is new."""
    with sqlite3.connect(tmp_path / "paper.sqlite") as old:
        old.executescript(FIRST)
        old.execute("INSERT INTO accounts VALUES (1, ?, ?)", (KEY, SECRET))
        old.execute("INSERT INTO balances VALUES (1, 'USDT', ?, ?)", (str(10**13), str(3000 * 10**8)))
        row = ("BTCUSDT", 7, 1, "old", 1, 5, json.dumps(OLD_ORDER))
        old.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        old.execute("INSERT INTO trades VALUES ('BTCUSDT', 9, 1, 7, 6, ?)", (json.dumps(OLD_TRADE),))
    old.close()
    async with open_house() as house:
        (order,) = await house.client.get_open_orders()
        assert (order["clientOrderId"], order["workingTime"], order["orderListId"]) == ("old", 5, -1)
        (trade,) = await house.client.get_my_trades(symbol="BTCUSDT", orderId=7)
        assert (trade["commission"], trade["orderListId"]) == ("0.00010000", -1)
        await house.client.cancel_order(symbol="BTCUSDT", orderId=7)
        assert (await house.client.get_asset_balance("USDT"))["locked"] == "0.00000000"
        bought = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
        assert (bought["orderId"], bought["fills"][0]["tradeId"] > 9) == (8, True)
        await house.client.v3_get_all_order_list()


async def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """What a later version wrote is left alone, and the refusal says so."""
    path = tmp_path / "s.sqlite"
    kept = Store(path)
    kept.write([changes.put_account(1, "k", "s")])
    kept.close()
    with sqlite3.connect(path) as later:
        later.execute(f"PRAGMA user_version = {VERSION + 1}")
    later.close()
    with pytest.raises(StoreError, match="later version"):
        Store(path)
    with sqlite3.connect(path) as later:
        assert later.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
    later.close()
