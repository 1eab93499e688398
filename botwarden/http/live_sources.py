"""What the hub reads and hears: PostgreSQL and Redis, put into its own terms."""

from collections.abc import Callable, Sequence
from datetime import datetime

from botwarden.http.sse import Frame, LiveState
from botwarden.persistence import deleted_bots, live_states
from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.persistence.database import Database
from botwarden.trading.bot import BotId, UserId


class DatabaseRows:
    """Snapshots from the database; a connection is held only for one read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_own(self, user_id: UserId, bot_id: BotId | None) -> Sequence[Frame]:
        """Return the state of this bot of the user, or of all; empty when there is none."""
        async with self._database.read() as tx:
            return [frame_of(state) for state in await live_states.read_own_states(tx, user_id, bot_id)]

    async def read_watched(
        self, user_ids: Sequence[UserId], bot_ids: Sequence[BotId]
    ) -> Sequence[tuple[UserId, Frame]]:
        """Return the states of all bots of these users, and of these bots."""
        async with self._database.read() as tx:
            states = await live_states.read_watched_states(tx, user_ids, bot_ids)
        return [(state.user_id, frame_of(state)) for state in states]

    async def read_deleted(self, user_id: UserId, since: datetime) -> Sequence[BotId]:
        """Return the user's bots that were deleted since then."""
        async with self._database.read() as tx:
            return await deleted_bots.read_deleted(tx, user_id, since=since)

    async def dead_tokens(self, token_hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which of these tokens are no longer good."""
        async with self._database.read() as tx:
            good = await live_states.read_good_tokens(tx, token_hashes)
        return [token_hash for token_hash in token_hashes if token_hash not in good]


class BroadcastWord:
    """Word from Redis, through the replica's one reader."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    @property
    def connected(self) -> bool:
        """Whether what is said now is heard here."""
        return self._broadcast.connected

    async def attend(
        self, *, on_revoked: Callable[[Sequence[bytes]], None], on_gap: Callable[[], None]
    ) -> None:
        """Hear of dead tokens, and of gaps in what is heard, from now on."""
        self._broadcast.on_gap(on_gap)
        await self._broadcast.on_revoked(on_revoked)

    async def listen(
        self,
        user_id: UserId,
        *,
        on_states: Callable[[Sequence[Frame]], None],
        on_deleted: Callable[[BotId], None],
    ) -> None:
        """Hear what happens to this user's bots; return when that is confirmed."""

        def hear(states: Sequence[StateChanged]) -> None:
            on_states([frame_of(state) for state in states])

        await self._broadcast.subscribe_user(user_id, hear, on_deleted)

    async def unlisten(self, user_id: UserId) -> None:
        """Hear of this user's bots no more."""
        await self._broadcast.unsubscribe_user(user_id)


def frame_of(state: StateChanged) -> Frame:
    """Return a state as it goes to clients."""
    return Frame(
        LiveState(
            id=state.bot_id,
            status=state.status,
            in_position=state.in_position,
            entry_price=state.entry_price,
            daily_pnl=state.daily_pnl,
            daily_trades_count=state.daily_trades_count,
            last_updated_at=state.last_updated_at,
            version=state.version,
        )
    )
