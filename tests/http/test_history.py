"""Trades, orders, events and PnL by the contract."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from botwarden.persistence.order_tables import orders, trades
from tests.http.api import exact

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


async def trade(user, bot, number, *, pnl="0", fee="0.1", at=NOW, price="60000"):
    """Book an order and its trade."""
    order = {
        "bot_id": bot["id"],
        "number": number,
        "user_id": user.id,
        "api_key_id": bot["api_key_id"],
        "venue": "testnet",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "reason": "signal",
        "quantity_base": Decimal("0.00000001"),
        "decided_price_quote": Decimal(price),
        "client_order_id": f"bw-test-{bot['id']}-{number}",
        "intended_at": at,
        "status": "filled",
        "executed_base": Decimal("0.00000001"),
        "settled_at": at,
    }
    async with user.api.database.begin() as tx:
        order_id = (await tx.execute(insert(orders).values(order).returning(orders.c.id))).scalar_one()
        booked = {name: order[name] for name in ("bot_id", "user_id", "symbol", "side", "reason")}
        booked |= {"order_id": order_id, "price_quote": Decimal(price), "executed_at": at}
        booked |= {"quantity_base": Decimal("0.00000001"), "quantity_quote": Decimal("0.0006")}
        booked |= {"fee_quote": Decimal(fee), "realised_pnl_quote": Decimal(pnl), "trading_day": at.date()}
        await tx.execute(insert(trades).values(booked))


@pytest.mark.parametrize("what", ["trades", "orders"])
async def test_newest_come_first_page_by_page(user, bot, what):
    """Pages follow each other without a gap or a repeat, newest first, amounts exact."""
    for number in range(1, 8):
        await trade(user, bot, number)
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({} if cursor is None else {"cursor": cursor})
        answer = await user.client.get(f"/bots/{bot['id']}/{what}", params=query)
        page = exact(answer)
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert [it["id"] for it in seen] == sorted((it["id"] for it in seen), reverse=True)
    assert b'"quantity_base":0.00000001,' in answer.content
    assert seen[0]["symbol"] == "BTCUSDT"


async def test_trades_are_a_file_on_request(user, bot):
    """With `Accept: text/csv` all trades come as one file, with the digits of the JSON."""
    for number in range(1, 4):
        await trade(user, bot, number, pnl=f"-{number}.000000000000000001")
    answer = await user.client.get(f"/bots/{bot['id']}/trades", headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["realised_pnl_quote"] for row in rows] == [f"-{n}.000000000000000001" for n in (3, 2, 1)]
    assert rows[0]["quantity_base"] == "0.00000001"
    assert rows[0]["executed_at"].endswith("Z")


async def test_pnl_is_by_utc_day(user, bot):
    """Each day asked for is there, also without trades; sums are exact, and a flat bot has nothing open."""
    await trade(user, bot, 1, pnl="1.1", fee="0.01")
    await trade(user, bot, 2, pnl="-0.3", fee="0.02")
    await trade(user, bot, 3, pnl="5", fee="0.5", at=NOW - timedelta(days=2))
    await trade(user, bot, 4, pnl="100", at=NOW - timedelta(days=3))
    answer = await user.client.get(f"/bots/{bot['id']}/pnl", params={"days": 3})
    shown = exact(answer)
    assert [it["day"] for it in shown["days"]] == [str(NOW.date() - timedelta(days=n)) for n in (2, 1, 0)]
    assert [it["realised"] for it in shown["days"]] == [5, 0, Decimal("0.8")]
    assert [it["trades"] for it in shown["days"]] == [1, 0, 2]
    assert (shown["realised"], shown["fees"]) == (Decimal("5.8"), Decimal("0.53"))
    assert (shown["unrealised"], shown["price"]) == (0, None)
    table = await user.client.get(
        f"/bots/{bot['id']}/pnl", params={"days": 3}, headers={"accept": "text/csv"}
    )
    assert [row["realised"] for row in csv.DictReader(io.StringIO(table.text))] == ["5", "0", "0.8"]


async def test_unrealised_is_unknown_without_a_price(user, bot):
    """A position whose price nobody tells has no worth, rather than a wrong one."""
    await user.hold(bot["id"])
    shown = (await user.client.get(f"/bots/{bot['id']}/pnl")).json()
    assert (shown["unrealised"], shown["price"]) == (None, None)


async def test_every_change_is_in_the_audit_trail(user, bot):
    """Events are newest first, each with version, cause and what changed."""
    await user.client.post(f"/bots/{bot['id']}/start")
    await user.client.patch(f"/bots/{bot['id']}", json={"name": "renamed"})
    await user.client.post(f"/bots/{bot['id']}/stop")
    events = (await user.client.get(f"/bots/{bot['id']}/events")).json()["items"]
    assert [(it["version"], it["cause"], it["kind"]) for it in events] == [
        (4, "owner", "bot.stopped"),
        (3, "owner", "config.changed"),
        (2, "owner", "bot.started"),
        (1, "owner", "bot.created"),
    ]
    assert events[0]["changes"]["status"] == ["pending", "stopped"]
    assert events[1]["changes"] == {"name": ["one", "renamed"]}
    assert events[2]["changes"]["is_active"] == [False, True]
