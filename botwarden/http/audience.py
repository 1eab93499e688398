"""Who watches what: rooms of watchers by user, bot and token.

A state is only ever put into the slots of its own user's watchers; the hub never looks further.
"""

from collections.abc import Iterator

import anyio

from botwarden.http.sse import Frame
from botwarden.http.watcher import Watcher
from botwarden.trading.bot import BotId, UserId


class Room:
    """The watchers of one user."""

    __slots__ = ("_all", "_by_bot", "empty_since", "heard", "lock", "user_id")

    def __init__(self, user_id: UserId) -> None:
        self.user_id = user_id
        #: Held while the subscription is made or ended.
        self.lock = anyio.Lock()
        #: Whether the subscription was confirmed.
        self.heard = False
        #: Since when nobody has been here (monotonic seconds).
        self.empty_since: float | None = None
        self._all: set[Watcher] = set()
        self._by_bot: dict[BotId, set[Watcher]] = {}

    @property
    def watches_all(self) -> bool:
        """Whether somebody follows every bot of the user."""
        return bool(self._all)

    @property
    def bots(self) -> list[BotId]:
        """The bots that are followed one by one."""
        return list(self._by_bot)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is here."""
        return not (self._all or self._by_bot)

    def enter(self, watcher: Watcher) -> None:
        """Let a watcher hear what happens from now on."""
        if watcher.bot_id is None:
            self._all.add(watcher)
        else:
            self._by_bot.setdefault(watcher.bot_id, set()).add(watcher)
        self.empty_since = None

    def leave(self, watcher: Watcher, *, now: float) -> None:
        """Forget a watcher."""
        if watcher.bot_id is None:
            self._all.discard(watcher)
        elif (followers := self._by_bot.get(watcher.bot_id)) is not None:
            followers.discard(watcher)
            if not followers:
                del self._by_bot[watcher.bot_id]
        if self.is_empty:
            self.empty_since = now

    def follows(self, bot_id: BotId) -> bool:
        """Whether anybody here wants to know of this bot."""
        return bool(self._all) or bot_id in self._by_bot

    def changed(self, frame: Frame) -> None:
        """Put a state into the slots of those who follow the bot."""
        for watcher in self._followers(BotId(frame.bot_id)):
            watcher.offer(frame)

    def deleted(self, bot_id: BotId) -> None:
        """Tell those who follow the bot that it is no more."""
        for watcher in self._followers(bot_id):
            watcher.forget(bot_id)

    def known(self) -> dict[Watcher, list[BotId]]:
        """Return what each watcher has been told of."""
        return {watcher: watcher.known for watcher in self._everyone()}

    def _followers(self, bot_id: BotId) -> Iterator[Watcher]:
        yield from self._all
        yield from self._by_bot.get(bot_id, ())

    def _everyone(self) -> Iterator[Watcher]:
        yield from self._all
        for followers in self._by_bot.values():
            yield from followers


class Audience:
    """Every watcher of the replica."""

    def __init__(self) -> None:
        self.rooms: dict[UserId, Room] = {}
        self.watchers: set[Watcher] = set()
        self._by_token: dict[bytes, set[Watcher]] = {}

    @property
    def tokens(self) -> list[bytes]:
        """The tokens that open streams were opened with."""
        return list(self._by_token)

    def enter(self, watcher: Watcher) -> Room:
        """Add a watcher, and return its room."""
        room = self.rooms.get(watcher.user_id)
        if room is None:
            room = self.rooms[watcher.user_id] = Room(watcher.user_id)
        room.enter(watcher)
        self.watchers.add(watcher)
        self._by_token.setdefault(watcher.token_hash, set()).add(watcher)
        return room

    def leave(self, watcher: Watcher, *, now: float) -> None:
        """Forget a watcher; its room stays until it is closed."""
        if watcher not in self.watchers:
            return
        self.watchers.discard(watcher)
        self.rooms[watcher.user_id].leave(watcher, now=now)
        holders = self._by_token[watcher.token_hash]
        holders.discard(watcher)
        if not holders:
            del self._by_token[watcher.token_hash]

    def holders(self, token_hash: bytes) -> list[Watcher]:
        """Return the watchers that came with this token."""
        return list(self._by_token.get(token_hash, ()))
