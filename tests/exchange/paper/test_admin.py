"""Accounts are made and wiped by the house only."""

from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from botwarden.errors import Missing, Refused, Unavailable
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.server import opened
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, options

pytestmark = pytest.mark.anyio


async def test_registering_twice_changes_nothing(house: House) -> None:
    """The same key and secret again is no error and no new money; another secret is refused."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.1")
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register(KEY, SECRET, {"USDT": "5"})
        assert await house.free("BTC") == "0.09990000"
        with pytest.raises(Refused, match="another secret"):
            await admin.register(KEY, "other")
        assert (await admin.status())["accounts"] == 1


async def test_a_reset_wipes_money_and_keeps_history(house: House) -> None:
    """After a reset the account holds what was given, no order rests, and every order is still readable."""
    bought = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.1")
    price = f"{Decimal(bought['fills'][0]['price']) / 2:.2f}"
    resting = await house.client.order_limit_buy(symbol="BTCUSDT", quantity="0.1", price=price)
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.reset(KEY, {"USDT": "500.5", "ETH": "2"})
        held = (await house.client.get_account(omitZeroBalances="true"))["balances"]
        assert held == [
            {"asset": "ETH", "free": "2.00000000", "locked": "0.00000000"},
            {"asset": "USDT", "free": "500.50000000", "locked": "0.00000000"},
        ]
        assert await house.client.get_open_orders() == []
        orders = await house.client.get_all_orders(symbol="BTCUSDT")
        assert [(order["orderId"], order["status"]) for order in orders] == [
            (bought["orderId"], "FILLED"),
            (resting["orderId"], "CANCELED"),
        ]
        await admin.reset(KEY)
        assert await house.free("USDT") == "100000.00000000"
        with pytest.raises(Missing):
            await admin.reset("nobody")


async def test_without_the_token_everything_is_shut(house: House) -> None:
    """A missing or wrong token opens nothing; bad input is named; an absent server is `Unavailable`."""
    async with PaperAdmin(house.origin, "wrong") as admin:
        with pytest.raises(Refused, match="token"):
            await admin.register("a", "b")
    async with PaperAdmin(house.origin, TOKEN) as admin:
        with pytest.raises(Refused):
            await admin.register("a", "b", {"USDT": "-5"})
        with pytest.raises(Refused):
            await admin.register("", "b")
    async with PaperAdmin("http://127.0.0.1:9", TOKEN) as admin:
        with pytest.raises(Unavailable):
            await admin.status()
    assert TOKEN not in repr(PaperAdmin("http://127.0.0.1:9", TOKEN))


async def test_no_token_means_no_admin(tmp_path: Path) -> None:
    """An exchange without a token has no admin endpoints at all, not even for an empty token."""
    async with opened(options(tmp_path, admin_token="")) as (_, origin), PaperAdmin(origin, "") as admin:
        with pytest.raises(Refused, match="token"):
            await admin.status()


async def test_who_is_not_the_house_gets_403(house: House) -> None:
    """The answer to a stranger says nothing but no."""
    async with aiohttp.ClientSession() as http, http.get(f"{house.origin}/paper/status") as answer:
        assert answer.status == 403
