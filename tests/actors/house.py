"""A house for the actors on the path of an order: real database, real venue, lives that end at any step.

house ──begin──▶ life: database pool, adapter, actor system ──doors──▶ PostgreSQL, paper exchange
  │                └─ crash(): everything of it is cancelled where it stands, no hook runs
  └── owner, prices, time, and a look at the rows and at the venue's own records
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.lowlevel import checkpoint
from sqlalchemy import text

from botwarden.cli import verify_ledger
from botwarden.exchange.port import Found
from botwarden.exchange.stream_rules import StreamRules
from botwarden.persistence import api_keys, bots, users
from botwarden.persistence.bots import Bot
from botwarden.persistence.database import Database
from botwarden.persistence.ledger import read_books, read_traded_accounts
from botwarden.persistence.open_orders import read_open_orders
from botwarden.trading.bot import ApiKeyId, BotState, Status, UserId, Venue
from botwarden.trading.decisions import Signal, StartRequested, StatePut
from botwarden.trading.ledger import compare_books
from botwarden.trading.machine import Input, decide
from botwarden.trading.orders import Order
from tests.actors.doors import Doors, News
from tests.actors.life import PRICE, Life
from tests.actors.world import World
from tests.persistence.examples import VAULT, new_bot, rows

#: Below the stop-loss of a position that was bought at `PRICE`, and still below after a small spread.
CRASHED_PRICE = "62000"

#: What the venue gives to a new account.
OPENED_WITH = {"USDT": "100000"}

#: How far time moves between two looks.
GLIMPSE_S = 0.1

PATIENCE_S = 30


@dataclass
class House:
    """One owner with a key and bots, on a database and a venue."""

    database: Database
    database_url: str
    redis_url: str
    world: World
    user_id: UserId
    api_key_id: ApiKeyId
    #: As the venue knows it.
    api_key: str
    _tasks: anyio.abc.TaskGroup
    #: Rings with every commit of any life.
    news: News = field(default_factory=News)
    _lives: list[Life] = field(default_factory=list)

    async def begin(self, *, request_timeout_s: float = 10.0, **rules: Any) -> Life:
        """Begin a life; it takes over whatever another one has left."""
        stream_rules = StreamRules(**{"silence_s": 3600.0, **rules})
        life = Life(
            self.database_url, self.redis_url, self.world, stream_rules, Doors(self.news), request_timeout_s
        )
        self._lives.append(life)
        await self._tasks.start(life.run)
        return life

    async def end(self) -> None:
        """End whatever still lives."""
        for life in self._lives:
            await life.crash()
        self.world.venue.faults.clear()

    async def lose(self, life: Life) -> None:
        """Let everybody else take the life for dead, though it goes on."""
        await life.lock.close()

    async def add_bot(self, **changes: Any) -> Bot:
        """Add a stopped bot whose strategy never speaks by itself."""
        wish = {"strategy": "simple", "strategy_params": {}, "check_interval_seconds": 86_400}
        async with self.database.begin() as tx:
            bot = await bots.create_bot(tx, self.user_id, new_bot(self.api_key_id, **wish | changes))
            today = self.world.clock.now().date()
            # The venue lives on the fake clock's day.
            await tx.execute(
                text("UPDATE bot_states SET trading_day = :today WHERE bot_id = :bot"),
                {"today": today, "bot": bot.config.id},
            )
        return bot

    async def starting(self, life: Life, **changes: Any) -> Bot:
        """Add a bot and start it."""
        bot = await self.add_bot(**changes)
        await self.obey(life, bot, StartRequested(at=self.world.clock.now()))
        return bot

    async def running(self, life: Life, **changes: Any) -> Bot:
        """Add a bot and start it; return when it runs."""
        bot = await self.starting(life, **changes)
        await self.until(bot, lambda state: state.status == Status.RUNNING, passing=True)
        return bot

    async def holding(self, life: Life, **changes: Any) -> Bot:
        """Add a bot that has bought."""
        bot = await self.running(life, **changes)
        life.signal(bot, Signal.BUY)
        await self.until(bot, is_settled(1))
        return bot

    async def write(self, bot: Bot, command: Input) -> BotState:
        """Let the owner write, as the API does it."""
        async with self.database.begin() as tx:
            config, before = await bots.lock_bot(tx, self.user_id, bot.config.id)
            decision = decide(config, before, command, instrument=None)
            return await bots.save_bot(tx, before, decision, adjustments=isinstance(command, StatePut))

    async def obey(self, life: Life, bot: Bot, command: Input) -> BotState:
        """Let the owner write, and the life hear of it."""
        state = await self.write(bot, command)
        life.wake(bot.config.id)
        return state

    async def state(self, bot: Bot) -> BotState:
        """Return the row."""
        async with self.database.read() as tx:
            [state] = await bots.read_states(tx, [bot.config.id])
        return state

    async def until(self, bot: Bot, holds: Callable[[BotState], bool], *, passing: bool = False) -> BotState:
        """Return the bot's state once it is so; time stands still meanwhile unless it is `passing`."""
        with anyio.fail_after(PATIENCE_S):
            while True:
                news = self.news.next
                if holds(state := await self.state(bot)):
                    return state
                await (self._glimpse() if passing else news.wait())

    async def once(self, holds: Callable[[], Any], *, passing: bool = False) -> None:
        """Return once something is so that no row tells."""
        with anyio.fail_after(PATIENCE_S):
            while not holds():
                await (self._glimpse() if passing else checkpoint())

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, so that who waits for real answers gets them meanwhile."""
        for _ in range(round(seconds / GLIMPSE_S)):
            await self._glimpse()

    async def _glimpse(self) -> None:
        """Let a little time pass, once no order and no commit is under way: nothing depends on speed."""
        while any(life.doors.busy for life in self._lives if life.is_on):
            await checkpoint()
        await self.world.clock.advance(GLIMPSE_S)
        await self.database.check()

    async def open_order(self, bot: Bot) -> Order:
        """Return the bot's open order."""
        async with self.database.read() as tx:
            return (await read_open_orders(tx, [bot.config.id]))[bot.config.id]

    async def orders(self, bot: Bot) -> list[Any]:
        """Return the bot's orders in our books, oldest first."""
        return list(await rows(self.database, _ORDERS, bot=bot.config.id))

    async def venue_orders(self, life: Life) -> list[Found]:
        """Return the account's orders as the venue has them, oldest first."""
        account = await life.exchange.account(Venue.PAPER, self.api_key_id)
        try:
            return [*await account.orders_since("BTCUSDT", 0), *await account.orders_since("ETHUSDT", 0)]
        finally:
            await account.close()

    async def check_books(self, life: Life, *, short: Sequence[str] = (), **paid_in: str) -> None:
        """Hold our books against the venue's, counters against trades, and versions against the trail.

        `paid_in` is what others have paid into the account, or taken out of it, by asset; of those in `short`
        bots hold more than there is.
        """
        async with self.database.read() as tx:
            accounts = await read_traded_accounts(tx)
        result = await verify_ledger.compare_key(self.database, life.exchange, accounts)
        async with self.database.begin() as tx:
            books = compare_books(await read_books(tx))
        missing = [f"{result.name}: bots hold more {asset} than the account has" for asset in short]
        assert [*result.differences, *books.differences] == missing
        assert not [text for it in result.orders.values() for text in (*it.foreign, *it.in_flight)]
        foreign = {it.asset: it.foreign for it in result.holdings if it.foreign}
        assert foreign == {asset: Decimal(amount) for asset, amount in (OPENED_WITH | paid_in).items()}
        assert not await rows(self.database, _GAPS_IN_VERSIONS)


def has_ended(number: int) -> Callable[[BotState], bool]:
    """Whether this order has been settled, whatever came after it."""
    return lambda state: state.orders_made >= number and state.open_order_number != number


def is_settled(orders: int) -> Callable[[BotState], bool]:
    """Whether the bot has made so many orders and none is open."""
    return lambda state: state.orders_made == orders and state.open_order_number is None


def is_open(state: BotState) -> bool:
    """Whether an order of the bot is open."""
    return state.open_order_number is not None


def shown(state: BotState) -> dict[str, Any]:
    """Return what must not change where nothing was decided."""
    return msgspec.structs.asdict(state) | {"term": None}


@asynccontextmanager
async def open_house(
    database: Database, database_url: str, redis_url: str, world: World
) -> AsyncIterator[House]:
    """Yield a house without any life in it; what lives at the end is ended."""
    await world.next_minute()
    key, secret = await world.open_account()
    async with database.begin() as tx:
        owner = (await users.create_user(tx, "owner@example.com", "hash")).id
        view = await api_keys.create_api_key(
            tx, VAULT, owner, label="main", venue=Venue.PAPER, api_key=key, secret_key=secret
        )
    world.say(PRICE)
    async with anyio.create_task_group() as tasks:
        house = House(database, database_url, redis_url, world, owner, view.id, key, tasks)
        try:
            yield house
        finally:
            with anyio.CancelScope(shield=True):
                await house.end()


_ORDERS = """
    SELECT number, side, reason, status, client_order_id, intended_at, quantity_base, quantity_quote
    FROM orders WHERE bot_id = :bot ORDER BY number
"""
# Each version of a bot but the two that the house itself has written is told exactly once by the trail.
_GAPS_IN_VERSIONS = """
    SELECT s.bot_id FROM bot_states s JOIN bot_events e ON e.bot_id = s.bot_id
    GROUP BY s.bot_id, s.version
    HAVING count(*) <> s.version OR count(DISTINCT e.version) <> s.version OR max(e.version) <> s.version
"""
