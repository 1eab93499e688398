"""How word of committed changes reaches everyone who watches.

    commit -> Redis -> the replica's one reader -> StatusHub -> Watcher (a slot per bot) -> EventStream

Attaching is: the subscription is confirmed, then a snapshot is read, then only what is newer follows. So
there is no gap and no step backwards. While Redis is up an idle watcher costs no query; while it is away
the hub polls what is watched, all of it in one query, and when it is back everything is read once more.
`StatusHub.run` is the one background coroutine, for all clients together.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

import anyio
import structlog
from anyio.lowlevel import checkpoint

from botwarden.errors import Missing, Unavailable
from botwarden.http.audience import Audience, Room
from botwarden.http.metrics import StreamMetrics
from botwarden.http.single_flight import SingleFlight
from botwarden.http.sse import Frame, microseconds, moment_of
from botwarden.http.watcher import Ending, Watcher
from botwarden.runtime import Clock
from botwarden.trading.bot import BotId, UserId

log = structlog.get_logger()

#: A resume reaches back this far before the id it names: ids do not follow the order of commits.
RESUME_SLACK_US = 30_000_000
#: How many of the hub's reads may hold a database connection at the same time.
_READS_AT_ONCE = 4
#: How many users are read by one query.
_USERS_PER_READ = 500
#: An attach waits so long for Redis to confirm its subscription; after that the hub polls.
_CONFIRM_WITHIN_S = 1.0
#: A room without watchers keeps its subscription so long, for clients that come back.
_LINGER_S = 5.0
#: Streams get so long to end when the server stops.
_BYE_WITHIN_S = 1.0
#: So many clients are looked after before others get their turn.
_SLICE = 200


class Rows(Protocol):
    """Where snapshots come from; in production the database. All of it raises `Unavailable`."""

    async def read_own(self, user_id: UserId, bot_id: BotId | None) -> Sequence[Frame]:
        """Return the state of this bot of the user, or of all; empty when there is none."""
        ...

    async def read_watched(
        self, user_ids: Sequence[UserId], bot_ids: Sequence[BotId]
    ) -> Sequence[tuple[UserId, Frame]]:
        """Return the states of all bots of these users, and of these bots."""
        ...

    async def read_deleted(self, user_id: UserId, since: datetime) -> Sequence[BotId]:
        """Return the user's bots that were deleted since then."""
        ...

    async def dead_tokens(self, token_hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which of these tokens are no longer good."""
        ...


class Word(Protocol):
    """How the hub hears of changes; in production Redis."""

    @property
    def connected(self) -> bool:
        """Whether what is said now is heard here."""
        ...

    async def attend(
        self, *, on_revoked: Callable[[Sequence[bytes]], None], on_gap: Callable[[], None]
    ) -> None:
        """Hear of dead tokens, and of gaps in what is heard, from now on."""
        ...

    async def listen(
        self,
        user_id: UserId,
        *,
        on_states: Callable[[Sequence[Frame]], None],
        on_deleted: Callable[[BotId], None],
    ) -> None:
        """Hear what happens to this user's bots; return when that is confirmed."""
        ...

    async def unlisten(self, user_id: UserId) -> None:
        """Hear of this user's bots no more."""
        ...


class StatusHub:
    """The live half of a replica."""

    def __init__(
        self,
        *,
        rows: Rows,
        word: Word,
        clock: Clock,
        metrics: StreamMetrics,
        heartbeat_s: float = 15.0,
        write_within_s: float = 20.0,
        poll_s: float = 1.5,
    ) -> None:
        self._rows = rows
        self._word = word
        self._clock = clock
        self._metrics = metrics
        self._heartbeat_s = heartbeat_s
        self._write_within_s = write_within_s
        self._poll_s = poll_s
        self._tick_s = min(1.0, heartbeat_s / 5, write_within_s / 5, poll_s)
        self._audience = Audience()
        self._snapshots = SingleFlight(self._read_snapshot)
        self._connections = anyio.Semaphore(_READS_AT_ONCE)
        self._closing = False
        #: Set when watchers may have missed something.
        self._stale = anyio.Event()
        #: Set, and replaced, at the end of each round of the timer.
        self._tick = anyio.Event()

    # Clients come and go.

    def watcher(
        self, *, user_id: UserId, bot_id: BotId | None, token_hash: bytes, expires_at: datetime
    ) -> Watcher:
        """Return a watcher of this bot of the user, or of all; it hears nothing until it is attached."""
        return Watcher(
            user_id=user_id,
            bot_id=bot_id,
            token_hash=token_hash,
            expires_at=expires_at,
            monotonic=self._clock.monotonic,
            tally=self._metrics.tally,
        )

    async def attach(self, watcher: Watcher, *, since_us: int | None = None) -> None:
        """Give a watcher the present states, and from then on every change.

        With `since_us` (a message's id, microseconds) bots that have not changed since are left out, and
        those that were deleted since are named.

        Raises:
            Missing: no such bot of this user.
            Unavailable: no database, or the server is shutting down.
        """
        if self._closing:
            raise Unavailable("The server is shutting down.")
        room = self._audience.enter(watcher)
        try:
            await self._hear(room)
            frames = await self._snapshots.read((watcher.user_id, watcher.bot_id))
            floor_us = self._floor(since_us)
            if floor_us and watcher.bot_id is None:
                await self._tell_deleted(watcher, floor_us)
        except BaseException:
            self.leave(watcher)
            raise
        for frame in frames:
            if frame.event_id >= floor_us:
                watcher.offer(frame)
            else:
                watcher.skip(frame)
        self._metrics.open.inc()

    def detach(self, watcher: Watcher) -> None:
        """Forget a watcher that was attached."""
        self._metrics.open.dec()
        self.leave(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        self._audience.leave(watcher, now=self._clock.monotonic())

    # Word arrives.

    def states_changed(self, user_id: UserId, frames: Iterable[Frame]) -> None:
        """Put committed states into the slots of those who follow them."""
        room = self._audience.rooms.get(user_id)
        if room is None:
            return
        now_us = microseconds(self._clock.now())
        for frame in frames:
            if room.follows(BotId(frame.bot_id)):
                room.changed(frame)
                self._metrics.lag.observe(max(0, now_us - frame.event_id) / 1e6)

    def bot_deleted(self, user_id: UserId, bot_id: BotId) -> None:
        """Tell those who follow the bot that it is no more."""
        room = self._audience.rooms.get(user_id)
        if room is not None:
            room.deleted(bot_id)

    def tokens_revoked(self, token_hashes: Iterable[bytes]) -> None:
        """End the streams that were opened with these tokens."""
        for token_hash in token_hashes:
            for watcher in self._audience.holders(token_hash):
                watcher.end(Ending.OVER)

    async def ticked(self) -> None:
        """Wait for the next round of the timer to end: a signal for tests."""
        await self._tick.wait()

    def missed(self) -> None:
        """Note that word may have been lost: everything watched is read again."""
        self._stale.set()

    # The one background coroutine.

    async def run(self, stopping: anyio.Event) -> None:
        """Look after everybody until the server stops; then end every stream at once."""
        await self._word.attend(on_revoked=self.tokens_revoked, on_gap=self.missed)
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_up, self._look_after_clients)
            group.start_soon(self._keep_up, self._catch_up)
            await stopping.wait()
            self._closing = True
            self._end_all()
            group.cancel_scope.cancel()
        with anyio.move_on_after(_BYE_WITHIN_S):
            while self._audience.watchers:
                await self._clock.sleep(0.01)
        for watcher in list(self._audience.watchers):
            watcher.cut()

    async def _keep_up(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Supervise a duty: a bug in it must not leave a stream without care, nor lose what it was about."""
        while True:
            try:
                await duty()
            except Exception:
                log.exception("hub.duty_failed", duty=duty.__name__)
                self.missed()
                await self._clock.sleep(self._tick_s)

    def _end_all(self) -> None:
        for watcher in self._audience.watchers:
            watcher.end(Ending.BYE)

    async def _look_after_clients(self) -> None:
        """The one timer: heartbeats, write deadlines, expiry of tokens, empty rooms."""
        while True:
            await self._clock.sleep(self._tick_s)
            now, today = self._clock.monotonic(), self._clock.now()
            for number, watcher in enumerate(list(self._audience.watchers)):
                if number % _SLICE == _SLICE - 1:
                    await checkpoint()
                if watcher.writing_since is not None:
                    self._cut_if_stalled(watcher, now)
                if watcher.expires_at <= today:
                    watcher.end(Ending.OVER)
                elif now - watcher.quiet_since >= self._heartbeat_s - 2 * self._tick_s:
                    watcher.beat()
            await self._close_empty_rooms(now)
            self._tick.set()
            self._tick = anyio.Event()

    def _cut_if_stalled(self, watcher: Watcher, now: float) -> None:
        if watcher.writing_since is not None and now - watcher.writing_since >= self._write_within_s:
            self._metrics.cut.inc()
            log.info("stream.cut", user_id=watcher.user_id, waited_s=round(now - watcher.writing_since, 1))
            watcher.cut()

    async def _close_empty_rooms(self, now: float) -> None:
        for room in list(self._audience.rooms.values()):
            if room.empty_since is None or now - room.empty_since < _LINGER_S:
                continue
            async with room.lock:
                if room.is_empty:
                    room.heard = False
                    with anyio.move_on_after(_CONFIRM_WITHIN_S):
                        await self._word.unlisten(room.user_id)
                if room.is_empty:
                    del self._audience.rooms[room.user_id]

    async def _catch_up(self) -> None:
        """Read again whenever word may have been lost; poll while the line is down."""
        owed = False
        while True:
            # Without a line, or with a read owed, do not wait for more word than a poll's time.
            patience_s = self._poll_s if owed or self._is_deaf() else self._tick_s
            with anyio.move_on_after(patience_s):
                await self._stale.wait()
            if not (owed or self._stale.is_set() or self._is_deaf()):
                continue
            self._stale = anyio.Event()
            try:
                await self._hear_all()
                self._metrics.reread.inc()
                await self._read_again()
                owed = False
            except Unavailable:
                owed = True

    def _is_deaf(self) -> bool:
        return not self._word.connected or any(
            not room.heard and not room.is_empty for room in self._audience.rooms.values()
        )

    # Listening and reading.

    async def _hear(self, room: Room) -> None:
        """Subscribe to the room's user; without Redis the room stays unheard and is polled."""
        async with room.lock:
            if not room.heard and self._word.connected:
                with anyio.move_on_after(_CONFIRM_WITHIN_S):
                    await self._word.listen(
                        room.user_id,
                        on_states=partial(self.states_changed, room.user_id),
                        on_deleted=partial(self.bot_deleted, room.user_id),
                    )
                    room.heard = True

    async def _hear_all(self) -> None:
        async with anyio.create_task_group() as group:
            for room in self._audience.rooms.values():
                if not room.heard and not room.is_empty:
                    group.start_soon(self._hear, room)

    async def _read_snapshot(self, key: tuple[UserId, BotId | None]) -> Sequence[Frame]:
        async with self._connections:
            frames = await self._rows.read_own(*key)
        if key[1] is not None and not frames:
            raise Missing
        return frames

    async def _tell_deleted(self, watcher: Watcher, since_us: int) -> None:
        async with self._connections:
            deleted = await self._rows.read_deleted(watcher.user_id, moment_of(since_us))
        for bot_id in deleted:
            watcher.forget(bot_id)

    async def _read_again(self) -> None:
        """Hold every watcher against the database: newer states, deleted bots, dead tokens."""
        rooms = [room for room in self._audience.rooms.values() if not room.is_empty]
        for start in range(0, len(rooms), _USERS_PER_READ):
            await self._read_rooms(rooms[start : start + _USERS_PER_READ])
        tokens = self._audience.tokens
        if tokens:
            async with self._connections:
                self.tokens_revoked(await self._rows.dead_tokens(tokens))

    async def _read_rooms(self, rooms: Sequence[Room]) -> None:
        # What was known before the read began and is not in it was deleted.
        known = [entry for room in rooms for entry in room.known().items()]
        by_user = {room.user_id: room for room in rooms}
        users = [room.user_id for room in rooms if room.watches_all]
        bots = [bot_id for room in rooms if not room.watches_all for bot_id in room.bots]
        async with self._connections:
            rows = await self._rows.read_watched(users, bots)
        there: set[int] = set()
        for user_id, frame in rows:
            there.add(frame.bot_id)
            # Whoever asks for a bot of somebody else is in a room, too, until the answer is known.
            if user_id in by_user:
                by_user[user_id].changed(frame)
        for watcher, bot_ids in known:
            for bot_id in bot_ids:
                if bot_id not in there:
                    watcher.forget(bot_id)

    def _floor(self, since_us: int | None) -> int:
        """Return the oldest id that a resuming client may have missed."""
        if since_us is None or since_us > microseconds(self._clock.now()):
            return 0
        return since_us - RESUME_SLACK_US
