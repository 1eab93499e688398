"""A house for the actors on the path of an order: real database, real venue, lives that end at any step.

house ──begin──▶ life: database pool, adapter, actor system ──doors──▶ PostgreSQL, paper exchange
  │                └─ crash(): everything of it is cancelled where it stands, no hook runs
  └── owner, prices, time, and a look at the rows and at the venue's own records
"""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import anyio.abc
import msgspec
from anyio.lowlevel import checkpoint
from sqlalchemy import text

from botwarden.actors.announcer import AnnouncerActor
from botwarden.actors.bot import BotMessage
from botwarden.actors.bots import BotsActor, Take, Wake
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.committer import CommitterActor
from botwarden.actors.market_feed import FeedBoard, FeedMessage, FeedsActor, SignalGiven, Watch
from botwarden.actors.order_desk import DesksActor
from botwarden.actors.progress import ProgressActor
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Rules, Surroundings
from botwarden.actors.warden import WIDE
from botwarden.cli import verify_ledger
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Found
from botwarden.exchange.streams import StreamRules
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.exchange.venues import paper_urls
from botwarden.persistence import api_keys, bots, slots, users
from botwarden.persistence.bots import Bot
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_tag
from botwarden.persistence.ledger import read_books, read_traded_accounts
from botwarden.persistence.open_orders import read_open_orders
from botwarden.persistence.slots import ReplicaLock
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime import Actor, ChildSpec, Ref, System
from botwarden.runtime.testing import Crash, Stage
from botwarden.trading.bot import ApiKeyId, BotId, BotState, Status, UserId, Venue
from botwarden.trading.decisions import Signal, StartRequested, StatePut
from botwarden.trading.ledger import compare_books
from botwarden.trading.machine import Input, decide
from botwarden.trading.orders import Order
from botwarden.wiring import secret_opener
from tests.actors.doors import CommitterDatabase, Doors, News, WatchedExchange
from tests.actors.world import World
from tests.persistence.examples import VAULT, new_bot, rows

#: R, and what is waited beyond it.
WINDOW, MARGIN = timedelta(seconds=5), timedelta(seconds=1)

PRICE = "64000"
#: Below the stop-loss of a position that was bought at `PRICE`, and still below after a small spread.
CRASHED_PRICE = "62000"

#: How far time moves between two looks.
GLIMPSE_S = 0.1

PATIENCE_S = 30


class OverheardFeeds(FeedsActor):
    """The feeds, with a note of who asked for what, in order."""

    def __init__(self, surroundings: Surroundings, board: FeedBoard, heard: list[FeedMessage]) -> None:
        super().__init__(surroundings, board)
        self._heard = heard

    async def receive(self, message: FeedMessage, /) -> None:
        """Note it, and pass it on."""
        self._heard.append(message)
        await super().receive(message)


class _Root(Actor[Any]):
    """Those of the warden's children that an order meets."""

    def __init__(self, life: "Life", surroundings: Surroundings) -> None:
        self._life = life
        self._surroundings = surroundings

    async def started(self) -> None:
        life, doors, usual = self._life, self._life.doors, self._surroundings
        held = replace(usual, database=CommitterDatabase(usual.database, doors))
        announcer = await self._child("announcer", lambda: AnnouncerActor(usual))
        colleagues = life.colleagues = Colleagues(
            announcer=announcer,
            committer=await self._child("committer", lambda: CommitterActor(held, announcer)),
            progress=await self._child("progress", lambda: ProgressActor(usual)),
            desks=await self._child("desks", lambda: DesksActor(usual)),
            feeds=await self._child("feeds", lambda: OverheardFeeds(usual, life.board, life.asked)),
        )
        life.bots = await self._child("bots", lambda: BotsActor(usual, colleagues, life.standing))

    async def _child(self, name: str, start: Any) -> Ref[Any]:
        return await self.context.spawn(ChildSpec(name=name, start=start, inbox=WIDE))


@dataclass
class Life:
    """One process as it would be: what it holds in memory is gone with it."""

    database_url: str
    redis_url: str
    world: World
    stream_rules: StreamRules
    doors: Doors
    standing: Standing = field(default_factory=Standing)
    board: FeedBoard = field(default_factory=dict)
    #: What bots asked the feeds for, oldest first.
    asked: list[FeedMessage] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)
    _over: anyio.Event = field(default_factory=anyio.Event)
    _gone: anyio.Event = field(default_factory=anyio.Event)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Live until `crash`."""
        clock = self.world.clock
        async with AsyncExitStack() as stack:
            stack.callback(self._gone.set)
            database = Database.connect(self.database_url, pool_size=5)
            stack.push_async_callback(database.close)
            broadcast, cache = Broadcast(self.redis_url), JsonCache(self.redis_url)
            stack.push_async_callback(cache.close)
            stack.push_async_callback(broadcast.close)
            self.exchange = BinanceExchange(
                {Venue.PAPER: paper_urls(self.world.origin)},
                secret_opener(database, VAULT),
                clock,
                rng=random.Random(7),  # noqa: S311 - pauses
                receive_window=WINDOW,
                stream_rules=self.stream_rules,
            )
            stack.push_async_callback(self.exchange.close)
            self.lock = await self._join(database)
            stack.push_async_callback(self.lock.close)
            duties = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(duties.cancel_scope.cancel)
            duties.start_soon(self.exchange.run)
            surroundings = await self._surroundings(database, broadcast, cache)
            note = lambda *crash: self.crashes.append(Crash(*crash))  # noqa: E731 - one line
            async with System.open("life", clock=clock, seed=7, on_crash=note) as system:
                root = await system.spawn(ChildSpec(name="root", start=lambda: _Root(self, surroundings)))
                self.bots.tell(Take(slots=self.standing.slots))
                self.stage = Stage(root, system, clock, self.crashes)
                task_status.started()
                await self._over.wait()
                root.cell.request_stop()
                root.cell.kill()
                await root.cell.ended()

    @property
    def is_on(self) -> bool:
        """Whether it has not ended yet."""
        return not self._gone.is_set()

    async def crash(self) -> None:
        """End here and now: whatever is under way is cancelled, and nobody says goodbye."""
        self._over.set()
        await self._gone.wait()

    def bot(self, bot: Bot) -> Ref[BotMessage]:
        """Return the bot's actor, once it has asked for prices."""
        return next(it.bot for it in reversed(self.asked) if isinstance(it, Watch) and _is_of(bot, it))

    def watches(self, bot: Bot) -> list[Watch]:
        """Return what the bot has asked its feed for, oldest first."""
        return [it for it in self.asked if isinstance(it, Watch) and _is_of(bot, it)]

    def signal(self, bot: Bot, signal: Signal, price: str = PRICE) -> None:
        """Let the strategy speak, as the feed would tell it."""
        assert self.bot(bot).tell(SignalGiven(signal=signal, price_quote=Decimal(price)))

    def wake(self, *bot_ids: BotId) -> None:
        """Word has come that somebody wrote these rows."""
        self.bots.tell(Wake(bot_ids=bot_ids))

    def actor(self, name: str) -> Any:
        """Return a look at the actor of that name, if it lives."""
        found = [self.stage.system.tree()]
        for view in found:
            found.extend(view.children)
        return next((view for view in found if view.name == name), None)

    async def _join(self, database: Database) -> ReplicaLock:
        """Take every slot, from whoever is dead."""
        async with database.begin() as tx:
            replica_id = await slots.register_replica(tx, "life")
        lock = ReplicaLock(self.database_url, replica_id)
        await lock.acquire()
        async with database.begin() as tx:
            taken = await slots.take_slots(tx, replica_id, range(SLOT_COUNT))
        assert len(taken) == SLOT_COUNT
        self.standing.replica_id, self.standing.slots = replica_id, taken
        return lock

    async def _surroundings(self, database: Database, broadcast: Broadcast, cache: JsonCache) -> Surroundings:
        async with database.read() as tx:
            tag = await read_tag(tx)
        exchange: Any = WatchedExchange(self.exchange, self.doors)
        return Surroundings(
            database=database,
            direct_url=self.database_url,
            broadcast=broadcast,
            cache=cache,
            exchange=exchange,
            symbols=SymbolCatalogue(exchange, cache, self.world.clock),
            clock=self.world.clock,
            tag=tag,
            replica_name="life",
            rules=Rules(receive_window=WINDOW, absence_margin={Venue.PAPER: MARGIN}),
        )


@dataclass
class House:
    """One owner with a key and bots, on a database and a venue."""

    database: Database
    database_url: str
    redis_url: str
    world: World
    user_id: UserId
    api_key_id: ApiKeyId
    _tasks: anyio.abc.TaskGroup
    #: Rings with every commit of any life.
    news: News = field(default_factory=News)
    _lives: list[Life] = field(default_factory=list)

    async def begin(self, **rules: Any) -> Life:
        """Begin a life; it takes over whatever another one has left."""
        stream_rules = StreamRules(**{"silence_s": 3600.0, **rules})
        life = Life(self.database_url, self.redis_url, self.world, stream_rules, Doors(self.news))
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

    async def running(self, life: Life, **changes: Any) -> Bot:
        """Add a bot and start it; return when it runs."""
        bot = await self.add_bot(**changes)
        await self.obey(life, bot, StartRequested(at=self.world.clock.now()))
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
            await self.world.clock.advance(GLIMPSE_S)
            await self.database.check()

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

    async def check_books(self, life: Life) -> None:
        """Hold our books against the venue's, counters against trades, and versions against the trail."""
        differences: list[str] = []
        async with self.database.read() as tx:
            accounts = await read_traded_accounts(tx)
        for account in accounts:
            result = await verify_ledger._compare_account(self.database, life.exchange, account)
            differences.extend([*result.differences, *result.foreign, *result.in_flight])
        async with self.database.begin() as tx:
            differences.extend(compare_books(await read_books(tx)).differences)
        assert not differences
        assert not await rows(self.database, _GAPS_IN_VERSIONS)


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
    key, secret = await world.open_account()
    async with database.begin() as tx:
        owner = (await users.create_user(tx, "owner@example.com", "hash")).id
        view = await api_keys.create_api_key(
            tx, VAULT, owner, label="main", venue=Venue.PAPER, api_key=key, secret_key=secret
        )
    world.say(PRICE)
    async with anyio.create_task_group() as tasks:
        house = House(database, database_url, redis_url, world, owner, view.id, tasks)
        try:
            yield house
        finally:
            with anyio.CancelScope(shield=True):
                await house.end()


def _is_of(bot: Bot, watch: Watch) -> bool:
    return watch.bot_id == bot.config.id


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
