"""A house for tests: users with their bots on a real database, a hub, and followers with eyes."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis
from sqlalchemy import event, insert

from botwarden.http.hub import StatusHub
from botwarden.http.live_sources import BroadcastWord, DatabaseRows
from botwarden.http.metrics import Metrics
from botwarden.http.watcher import Watcher
from botwarden.persistence import bots, users
from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.persistence.database import Database
from botwarden.persistence.tables import api_keys
from botwarden.runtime import SystemClock
from botwarden.trading.bot import ApiKeyId, BotId, BotState, Cause, UserId
from botwarden.trading.decisions import Decision
from tests.persistence.examples import new_bot

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@dataclass
class House:
    """Users with their bots, and a hub that runs on their database."""

    database: Database
    broadcast: Broadcast
    hub: StatusHub
    stopping: anyio.Event
    redis_url: str
    statements: list[str] = field(default_factory=list)

    async def user(self, email: str) -> UserId:
        async with self.database.begin() as tx:
            user_id = (await users.create_user(tx, email, "hash")).id
            values = {"user_id": user_id, "label": "key", "venue": "paper", "api_key_hint": "hint"}
            await tx.execute(insert(api_keys).values(**values, sealed=b"sealed", sealed_with="k1"))
            await users.create_session(tx, user_id, token_of(user_id), TOMORROW)
        return user_id

    async def bot(self, user_id: UserId) -> BotState:
        async with self.database.begin() as tx:
            key = (await tx.execute(api_keys.select().where(api_keys.c.user_id == user_id))).one().id
            made = await bots.create_bot(tx, user_id, new_bot(ApiKeyId(key)))
        await self.broadcast.publish_states([StateChanged.of(made.state)])
        return made.state

    async def commit(self, bot: BotState, *, tells: bool = True, **changes: object) -> BotState:
        """Commit a change of a bot's state, and tell of it unless the word is to be lost."""
        async with self.database.begin() as tx:
            _, before = await bots.lock_bot(tx, bot.user_id, bot.bot_id)
            changed = {"daily_trades_count": before.daily_trades_count + 1, **changes}
            decision = Decision(state=replace(before, **changed), cause=Cause.STRATEGY, kind="test")
            after = await bots.save_bot(tx, before, decision)
        if tells:
            await self.broadcast.publish_states([StateChanged.of(after)])
        return after

    async def delete(self, bot: BotState, *, tells: bool = True) -> None:
        async with self.database.begin() as tx:
            _, state = await bots.lock_bot(tx, bot.user_id, bot.bot_id)
            await bots.delete_bot(tx, state)
        if tells:
            await self.broadcast.publish_deleted(bot.user_id, bot.bot_id)

    def watcher(
        self,
        user_id: UserId,
        bot_id: BotId | None = None,
        *,
        token: bytes | None = None,
        until: datetime = TOMORROW,
    ) -> Watcher:
        return self.hub.watcher(
            user_id=user_id, bot_id=bot_id, token_hash=token or token_of(user_id), expires_at=until
        )

    @asynccontextmanager
    async def watching(
        self, user_id: UserId, bot_id: BotId | None = None, *, since_us: int | None = None
    ) -> AsyncIterator["Follower"]:
        watcher = self.watcher(user_id, bot_id)
        await self.hub.attach(watcher, since_us=since_us)
        try:
            yield Follower(watcher)
        finally:
            self.hub.detach(watcher)

    async def kill_redis(self) -> None:
        """Kill the server as a crash would; its keeper starts it again."""
        async with Redis.from_url(self.redis_url) as client:
            os.kill((await client.info("server"))["process_id"], signal.SIGKILL)


class Follower:
    """Reads what a watcher is told, and holds it to the rule that versions never go back."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.versions: dict[int, int] = {}
        self.deleted: list[int] = []
        self.ids: list[int] = []

    async def read(self) -> list[dict]:
        """Return the messages of the next piece."""
        with anyio.fail_after(10):
            piece = await self.watcher.take()
        return [self._note(text) for text in piece.decode().split("\n\n") if text and text[0] != ":"]

    async def until(self, bot_id: int, version: int) -> None:
        """Read until the bot was seen at this version."""
        while self.versions.get(bot_id, 0) < version:
            await self.read()

    async def until_deleted(self, bot_id: int) -> None:
        while bot_id not in self.deleted:
            await self.read()

    def _note(self, text: str) -> dict:
        fields = dict(line.split(": ", 1) for line in text.split("\n"))
        data = msgspec.json.decode(fields["data"])
        if fields.get("event") == "deleted":
            self.deleted.append(data["id"])
            return data
        assert data["version"] > self.versions.get(data["id"], 0)
        assert data["id"] not in self.deleted
        self.versions[data["id"]] = data["version"]
        self.ids.append(int(fields["id"]))
        return data


def token_of(user_id: UserId) -> bytes:
    return b"token of %d" % user_id


@asynccontextmanager
async def counted(database: Database) -> AsyncIterator[list[str]]:
    """Note every statement that the database is asked."""
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


@asynccontextmanager
async def open_house(
    database: Database, redis_url: str, *, rows: DatabaseRows | None = None
) -> AsyncIterator[House]:
    """Run a hub on the database until the end."""
    broadcast = Broadcast(redis_url)
    hub = StatusHub(
        rows=rows or DatabaseRows(database),
        word=BroadcastWord(broadcast),
        clock=SystemClock(),
        metrics=Metrics().streams,
        poll_s=0.1,
    )
    async with counted(database) as statements, anyio.create_task_group() as group:
        house = House(database, broadcast, hub, anyio.Event(), redis_url, statements)
        group.start_soon(broadcast.run)
        group.start_soon(hub.run, house.stopping)
        yield house
        house.stopping.set()
        group.cancel_scope.cancel()
    await broadcast.close()
