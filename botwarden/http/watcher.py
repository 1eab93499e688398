"""One client of a live stream: a one-deep slot per bot between the hub and the wire.

What a client is given of a bot never goes backwards: an older version than the one given last is dropped.
Memory is bounded by the bots that are watched, whatever the client does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum

from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from botwarden.http.sse import BYE, HEARTBEAT, Farewell, Frame
from botwarden.trading.bot import BotId, UserId

#: About this many bytes go to the server in one piece.
PIECE_BYTES = 64 * 1024

#: The version of a bot that was deleted: nothing is newer.
_DELETED = 2**63


class Tally:
    """What is counted for all watchers together."""

    __slots__ = ("messages",)

    def __init__(self) -> None:
        #: How many messages were handed to clients.
        self.messages = 0


class Ending(Enum):
    """Why a stream ends."""

    #: The server goes away: reconnect.
    BYE = "bye"
    #: Its credentials or its bot are no more: do not.
    OVER = "over"


class Watcher:
    """What one client still has to be told."""

    __slots__ = (
        "_beat_due",
        "_ending",
        "_given",
        "_monotonic",
        "_pending",
        "_round",
        "_tally",
        "_wake",
        "bot_id",
        "cut",
        "expires_at",
        "quiet_since",
        "token_hash",
        "user_id",
        "writing_since",
    )

    def __init__(
        self,
        *,
        user_id: UserId,
        bot_id: BotId | None,
        token_hash: bytes,
        expires_at: datetime,
        monotonic: Callable[[], float],
        tally: Tally | None = None,
    ) -> None:
        self.user_id = user_id
        #: None: all bots of the user.
        self.bot_id = bot_id
        self.token_hash = token_hash
        #: When the credentials end (aware, UTC).
        self.expires_at = expires_at
        self.cut: Callable[[], None] = lambda: None
        #: Since when the present write has been waiting for the client; None between writes.
        self.writing_since: float | None = None
        #: When the last write was through.
        self.quiet_since = monotonic()
        self._monotonic = monotonic
        self._tally = tally or Tally()
        #: The newest that was not taken yet, one per bot.
        self._pending: dict[BotId, Frame | Farewell] = {}
        #: What was taken and is going out now, oldest first.
        self._round: deque[Frame | Farewell] = deque()
        #: The newest version of each bot that was accepted from the hub.
        self._given: dict[BotId, int] = {}
        #: Set exactly while there is something to take.
        self._wake = asyncio.Event()
        self._beat_due = False
        self._ending: Ending | None = None

    @property
    def known(self) -> list[BotId]:
        """The bots that this client has been told of and that were not deleted."""
        return [bot_id for bot_id, version in self._given.items() if version != _DELETED]

    def offer(self, frame: Frame) -> None:
        """Put a state into the bot's slot, unless the client was given one at least as new."""
        bot_id = BotId(frame.bot_id)
        if frame.version <= self._given.get(bot_id, 0):
            return
        self._given[bot_id] = frame.version
        self._pending[bot_id] = frame
        self._wake.set()

    def skip(self, frame: Frame) -> None:
        """Note that the client has this state already."""
        bot_id = BotId(frame.bot_id)
        if frame.version > self._given.get(bot_id, 0):
            self._given[bot_id] = frame.version

    def forget(self, bot_id: BotId) -> None:
        """Tell the client that the bot is no more; nothing about it follows."""
        if self._given.get(bot_id, 0) == _DELETED:
            return
        self._given[bot_id] = _DELETED
        self._pending[bot_id] = Farewell(bot_id)
        self._wake.set()

    def beat(self) -> None:
        """Ask for a heartbeat, unless something else goes out first."""
        self._beat_due = True
        self._wake.set()

    def end(self, ending: Ending) -> None:
        """End the stream after the present write; what is pending is not sent any more."""
        self._ending = self._ending or ending
        self._wake.set()

    async def take(self) -> bytes:
        """Wait for the next piece; empty at the end.

        Always lets others run first: a server's send may return without ever suspending, also after the
        client has left.
        """
        if self._wake.is_set():
            await checkpoint()
        else:
            await self._wake.wait()
            # In a flood the wait may be over each time before a cancellation reaches it.
            await checkpoint_if_cancelled()
        words = self._next_words()
        if not (self._ending or self._pending or self._round or self._beat_due):
            self._wake.clear()
        return words

    def writing(self) -> None:
        """Note that a write has begun."""
        self.writing_since = self._monotonic()

    def written(self) -> None:
        """Note that the write is through."""
        self.writing_since = None
        self.quiet_since = self._monotonic()

    def _next_words(self) -> bytes:
        if self._ending is not None:
            return self._last_words()
        beats, self._beat_due = self._beat_due, False
        if self._round or len(self._pending) > 1:
            return self._next_piece()
        if self._pending:
            self._tally.messages += 1
            return self._ended_by(self._pending.popitem()[1]).encoded
        return HEARTBEAT if beats else b""

    def _last_words(self) -> bytes:
        if self._ending is Ending.BYE:
            self._ending = Ending.OVER
            return BYE
        return b""

    def _next_piece(self) -> bytes:
        """Return the next part of the round, oldest first.

        The order matters: a client that is cut in between resumes from the last id it saw, so everything
        with a smaller id must have been sent before.
        """
        if not self._round:
            self._round.extend(_in_order(self._pending.values()))
            self._pending.clear()
        piece: list[bytes] = []
        size = 0
        while self._round and size < PIECE_BYTES:
            encoded = self._ended_by(self._round.popleft()).encoded
            piece.append(encoded)
            size += len(encoded)
        self._tally.messages += len(piece)
        return b"".join(piece)

    def _ended_by(self, frame: Frame | Farewell) -> Frame | Farewell:
        """Let the stream of one bot end with the bot."""
        if self.bot_id is not None and isinstance(frame, Farewell):
            self._ending = Ending.OVER
        return frame


def _in_order(frames: Iterable[Frame | Farewell]) -> list[Frame | Farewell]:
    return sorted(frames, key=lambda frame: frame.event_id)
