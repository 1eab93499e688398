"""One life of the actors on the path of an order: what a process holds, and loses when it ends.

life: database pool, adapter, actor system ──doors──▶ PostgreSQL, paper exchange
  └─ crash(): everything of it is cancelled where it stands, no hook runs
"""

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import anyio
import anyio.abc

from botwarden.actors.announcer import AnnouncerActor
from botwarden.actors.bot_mail import BotMessage
from botwarden.actors.bots import BotsActor, Take, Wake
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.committer import CommitterActor
from botwarden.actors.desk_mail import Enrolled
from botwarden.actors.feed_mail import FeedBoard, FeedMessage, SignalGiven, Subject, Watch, Watches
from botwarden.actors.inboxes import WIDE
from botwarden.actors.market_feed import FeedsActor
from botwarden.actors.order_desk import DesksActor
from botwarden.actors.progress import ProgressActor
from botwarden.actors.row_reader import RowReaderActor
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Rules, Surroundings
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.exchange.venues import paper_urls
from botwarden.persistence import slots
from botwarden.persistence.bots import Bot
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_tag
from botwarden.persistence.slots import ReplicaLock
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime import Actor, ChildSpec, Ref, System
from botwarden.runtime.testing import Crash, Stage
from botwarden.trading.bot import BotId, Venue
from botwarden.trading.decisions import Signal
from botwarden.wiring import secret_opener
from tests.actors.doors import BotsDatabase, CommitterDatabase, Doors, WatchedExchange
from tests.actors.world import World
from tests.persistence.examples import VAULT

#: R, and what is waited beyond it.
WINDOW, MARGIN = timedelta(seconds=5), timedelta(seconds=1)

PRICE = "64000"


class OverheardFeeds(FeedsActor):
    """The feeds, with a note of who asked for what, in order."""

    def __init__(
        self, surroundings: Surroundings, board: FeedBoard, watches: Watches, heard: list[FeedMessage]
    ) -> None:
        super().__init__(surroundings, board, watches)
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
        seen = replace(usual, database=BotsDatabase(usual.database, doors))
        watches = Watches()
        enrolled = Enrolled()
        announcer = await self._child("announcer", lambda: AnnouncerActor(usual))
        colleagues = life.colleagues = Colleagues(
            announcer=announcer,
            committer=await self._child("committer", lambda: CommitterActor(held, announcer)),
            reader=await self._child("reader", lambda: RowReaderActor(seen.database)),
            progress=await self._child("progress", lambda: ProgressActor(usual)),
            desks=await self._child("desks", lambda: DesksActor(usual, enrolled)),
            feeds=await self._child("feeds", lambda: OverheardFeeds(usual, life.board, watches, life.asked)),
        )
        life.bots = await self._child("bots", lambda: BotsActor(seen, colleagues, life.standing))

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
    #: How long the answer to a request is waited for, in real seconds.
    request_timeout_s: float = 10.0
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
                request_timeout_s=self.request_timeout_s,
                stream_rules=self.stream_rules,
            )
            stack.push_async_callback(self.exchange.close)
            self.lock = await self._join(database)
            stack.push_async_callback(self.lock.close)
            duties = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(duties.cancel_scope.cancel)
            duties.start_soon(self.exchange.run)
            surroundings = self.surroundings = await self._surroundings(database, broadcast, cache)
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
        said = SignalGiven(signal=signal, price_quote=Decimal(price), subject=Subject.of(bot.config))
        assert self.bot(bot).tell(said)

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


def _is_of(bot: Bot, watch: Watch) -> bool:
    return watch.bot_id == bot.config.id
