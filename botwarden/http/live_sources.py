"""What the hub reads and hears: PostgreSQL and Redis, put into its own terms."""

from collections.abc import Sequence

from botwarden.http.sse import Frame, LiveState
from botwarden.persistence import live_states
from botwarden.persistence.broadcast import StateChanged
from botwarden.persistence.database import Database
from botwarden.trading.bot import BotId, UserId


class DatabaseRows:
    """Snapshots from the database; a connection is held only for one read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_own(self, user_id: UserId, bot_id: BotId | None) -> Sequence[Frame]:
        """Return the state of this bot of the user, or of all; empty when there is none."""
        async with self._database.read() as tx:
            return [_frame(state) for state in await live_states.read_own_states(tx, user_id, bot_id)]

    async def read_watched(
        self, user_ids: Sequence[UserId], bot_ids: Sequence[BotId]
    ) -> Sequence[tuple[UserId, Frame]]:
        """Return the states of all bots of these users, and of these bots."""
        async with self._database.read() as tx:
            states = await live_states.read_watched_states(tx, user_ids, bot_ids)
        return [(state.user_id, _frame(state)) for state in states]

    async def dead_tokens(self, token_hashes: Sequence[bytes]) -> Sequence[bytes]:
        """Return which of these tokens are no longer good."""
        async with self._database.read() as tx:
            good = await live_states.read_good_tokens(tx, token_hashes)
        return [token_hash for token_hash in token_hashes if token_hash not in good]
