"""Whatever is ordered, money stays whole: nothing below zero, nothing locked twice, nothing forgotten."""

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.amounts import UNIT, floor_to
from botwarden.exchange.paper.bookkeeping import need, paid_with
from botwarden.exchange.paper.engine import Engine
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_types import ORDER_TYPES, TIMED
from botwarden.exchange.paper.reports import OrderReport, Report
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import House

pytestmark = pytest.mark.anyio

MONEY = {"USDT": "100000", "BTC": "2", "BNB": "0.01"}
STEPS = 400


@dataclass
class Trader:
    """Does things at random, in a market that it moves itself."""

    house: House
    chance: random.Random
    number: int = 0

    @property
    def engine(self) -> Engine:
        return self.house.venue.engine

    @property
    def account(self) -> Account:
        return next(iter(self.engine.accounts.by_id.values()))

    def act(self) -> None:
        """Do one thing; a refusal is an answer like another."""
        self.number += 1
        acts: list[Callable[[], Any]] = [
            self.place,
            self.place,
            self.place_list,
            self.move,
            self.move,
            self.cancel,
        ]
        with suppress(ApiError):
            self.chance.choice(acts)()

    def wish(self, name: str, kind: str, side: str, quantity: int) -> NewOrder:
        symbol = self.house.venue.market.symbols["BTCUSDT"]
        assert symbol.price is not None
        prices = [
            floor_to(symbol.price * self.chance.randint(950, 1050) // 1000, symbol.instrument.tick)
            for _ in "12"
        ]
        return NewOrder(
            symbol="BTCUSDT",
            side=side,
            type=kind,
            time_in_force=self.chance.choice(["GTC", "GTC", "IOC", "FOK"]) if kind in TIMED else "GTC",
            client_order_id=f"{self.number}-{name}",
            price=prices[0] if kind in TIMED or kind == "LIMIT_MAKER" else 0,
            stop_price=prices[1] if kind not in ("MARKET", "LIMIT", "LIMIT_MAKER") else 0,
            quantity=quantity,
        )

    def size(self) -> int:
        return self.chance.choice([100, 1_000, 20_000, 90_000]) * 1000

    def place(self) -> None:
        kind, side = self.chance.choice(ORDER_TYPES), self.chance.choice(["BUY", "SELL"])
        self.engine.place(self.account, self.wish("one", kind, side, self.size()), self.now_ms())

    def place_list(self) -> None:
        side, size = self.chance.choice(["BUY", "SELL"]), self.size()
        stop = self.wish("stop", self.chance.choice(["STOP_LOSS", "STOP_LOSS_LIMIT"]), side, size)
        other = self.wish("other", self.chance.choice(["LIMIT_MAKER", "TAKE_PROFIT"]), side, size)
        self.engine.place_list(self.account, [stop, other], f"{self.number}-list", self.now_ms())

    def cancel(self) -> None:
        if self.account.open_orders:
            order = self.chance.choice(list(self.account.open_orders.values()))
            self.engine.cancel(self.account, order, self.now_ms())

    def move(self) -> None:
        market = self.house.venue.market
        symbol = market.symbols["BTCUSDT"]
        assert symbol.price is not None
        moved = symbol.price * self.chance.randint(970, 1030) // 1000
        limits = [order.price for order in self.account.open_orders.values() if order.price]
        symbol.price = self.chance.choice([floor_to(moved, symbol.instrument.tick), *limits])
        market.trade(symbol, symbol.price, self.size(), self.now_ms(), sold=False)

    def now_ms(self) -> int:
        return self.house.venue.clock.now_ms()

    def check(self) -> None:
        """Hold what is locked against the orders, and lists against their legs."""
        account = self.account
        locked: defaultdict[str, int] = defaultdict(int)
        for order in account.open_orders.values():
            assert order.is_open
            assert order.list_id in account.open_lists or order.locked == need(order)
            locked[paid_with(order)] += order.locked
        for asset, held in account.holdings.items():
            assert held.free >= 0, asset
            assert held.locked == locked[asset], asset
        for listed in account.open_lists.values():
            legs = account.legs_of(listed)
            assert len(legs) == 2
            assert not any(leg.executed for leg in legs)
            assert sorted(leg.locked for leg in legs) == [0, max(need(leg) for leg in legs)]


def state(account: Account) -> Any:
    """Return all that there is to know."""
    held = {asset: (it.free, it.locked) for asset, it in account.holdings.items() if it.free or it.locked}
    return held, account.open_orders, account.open_client_ids, account.open_lists


@pytest.mark.parametrize("seed", range(4))
async def test_money_stays_whole(open_house: OpenHouse, seed: int) -> None:
    """Locks are what orders set aside, trades explain all changes, and a new start finds all as it was."""
    wish: dict[str, Any] = {"speed": 0.001, "symbols": ["BTCUSDT", "BNBUSDT"], "starting_balances": MONEY}
    async with open_house(**wish) as house:
        trader = Trader(house, random.Random(seed))  # noqa: S311 - not for secrets
        trader.engine.burn_bnb(trader.account, burns=True)
        before = {asset: held.free for asset, held in trader.account.holdings.items()}
        told: list[Report] = []
        trader.engine.feed.listen(trader.account.account_id, told.extend)
        for _ in range(STEPS):
            trader.act()
            trader.check()
        for report in told:
            if isinstance(report, OrderReport) and (made := report.trade) is not None:
                sign = 1 if made.is_buyer else -1
                before["BTC"] += sign * made.quantity
                before["USDT"] -= sign * made.quote_quantity
                before[made.commission_asset] -= made.commission
                assert made.quote_quantity == made.price * made.quantity // UNIT
        after = {asset: held.free + held.locked for asset, held in trader.account.holdings.items()}
        assert after == before
        ended = {it.order.status for it in told if isinstance(it, OrderReport)}
        assert {"FILLED", "CANCELED", "EXPIRED", "PARTIALLY_FILLED"} <= ended
        known = state(trader.account)
    async with open_house(**wish) as house:
        again = Trader(house, trader.chance)
        assert state(again.account) == known
        again.check()
