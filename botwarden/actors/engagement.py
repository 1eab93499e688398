"""What a bot has with its feed and its desk: what it asked them for, and what they last said.

Asking is idempotent and costs nothing when nothing changed, so the bot may say after every change what
it needs now.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from botwarden.actors.colleagues import Colleagues
from botwarden.actors.desk_mail import (
    DeskFailed,
    DeskKey,
    DeskReady,
    Enroll,
    Leave,
    Look,
    LookUpFree,
    Resolve,
    Send,
)
from botwarden.actors.feed_mail import FeedKey, FeedLost, FeedRestored, LookBack, Unwatch, Watch
from botwarden.actors.loading import BotRow
from botwarden.actors.signals import SignalKey
from botwarden.runtime import Ref
from botwarden.trading.bot import BotConfig, BotId, BotState, HaltedBy, Status
from botwarden.trading.guard import Thresholds, thresholds
from botwarden.trading.orders import Order

#: Not armed: a bot with an open order decides nothing, so no price shall wake it.
ASLEEP = Thresholds()


class Engagement:
    """One bot's dealings with the shared feed and the shared desk."""

    def __init__(self, bot_id: BotId, ref: Ref[Any], colleagues: Colleagues) -> None:
        self._bot_id = bot_id
        self._ref = ref
        self._colleagues = colleagues
        self._watch: Watch | None = None
        #: Where prices were asked for, armed at the moment or not.
        self._feed: FeedKey | None = None
        self._enrolled: Enroll | None = None
        #: What feed and desk last said; nothing yet at the start.
        self.feed: FeedLost | FeedRestored | None = None
        self.desk: DeskFailed | DeskReady | None = None
        #: The last price that the feed said.
        self.price: Decimal | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the bot could trade now."""
        return isinstance(self.feed, FeedRestored) and isinstance(self.desk, DeskReady)

    @property
    def trouble(self) -> tuple[Status, str] | None:
        """What keeps the bot from trading, as a status and a message."""
        if isinstance(self.desk, DeskFailed):
            return self.desk.status, self.desk.message
        if isinstance(self.feed, FeedLost):
            return Status.ERROR_PRICE, self.feed.message
        return None

    def engage(self, config: BotConfig, state: BotState) -> None:
        """Watch the market as this state needs it, and keep in touch with the desk."""
        enroll = Enroll(desk=desk_of(config), bot_id=config.id, bot=self._ref)
        if self._enrolled != enroll:
            self._leave_desk()
            if self._colleagues.desks.tell(enroll):
                self._enrolled = enroll
        self._arm(config, state)

    def touched(self, price: Decimal) -> None:
        """Note that the feed has woken the bot: it is disarmed there until it asks again."""
        self.price = price
        self._watch = None

    def release(self) -> None:
        """Neither prices nor orders are needed any more."""
        self._leave_feed()
        self._leave_desk()
        self.feed = self.desk = None

    def send(self, row: BotRow, order: Order) -> bool:
        """Hand a committed order to the desk; False when the desk took nothing."""
        return self._colleagues.desks.tell(
            Send(desk=desk_of(row.config), order=order, bot=self._ref, listed=row.leaving)
        )

    def resolve(self, row: BotRow, order: Order) -> None:
        """Have the desk find out what became of an order."""
        self._colleagues.desks.tell(
            Resolve(desk=desk_of(row.config), order=order, bot=self._ref, listed=row.leaving)
        )

    def look(self, config: BotConfig, resting: Order) -> None:
        """Have the desk see whether a list still rests."""
        self._colleagues.desks.tell(Look(desk=desk_of(config), order=resting, bot=self._ref))

    def look_up_free(self, config: BotConfig, asset: str) -> None:
        """Ask how much of the asset the account has free."""
        self._colleagues.desks.tell(LookUpFree(desk=desk_of(config), asset=asset, bot=self._ref))

    def look_back(self, config: BotConfig, written_at: datetime) -> None:
        """Ask how high the market went since the bot's row was last written."""
        feed = FeedKey(venue=config.venue, symbol=config.symbol)
        self._colleagues.feeds.tell(
            LookBack(feed=feed, bot_id=self._bot_id, bot=self._ref, written_at=written_at)
        )

    def _arm(self, config: BotConfig, state: BotState) -> None:
        feed = FeedKey(venue=config.venue, symbol=config.symbol)
        if self._feed not in (None, feed):
            self._leave_feed()
            self.feed = self.price = None  # They were the other symbol's.
        watch = Watch(
            feed=feed,
            bot_id=config.id,
            bot=self._ref,
            thresholds=ASLEEP if state.open_order_number is not None else thresholds(config, state),
            signal=SignalKey.of(config) if hears_signals(state) else None,
            greet=self.feed is None,
        )
        if watch != self._watch and self._colleagues.feeds.tell(watch):
            self._watch = watch
            self._feed = watch.feed

    def _leave_feed(self) -> None:
        if self._feed is not None:
            self._colleagues.feeds.tell(Unwatch(feed=self._feed, bot_id=self._bot_id))
        self._watch = self._feed = None

    def _leave_desk(self) -> None:
        if self._enrolled is not None:
            self._colleagues.desks.tell(Leave(desk=self._enrolled.desk, bot_id=self._enrolled.bot_id))
        self._enrolled = None


def desk_of(config: BotConfig) -> DeskKey:
    """Return which desk serves this bot."""
    return DeskKey(venue=config.venue, api_key_id=config.api_key_id)


def hears_signals(state: BotState) -> bool:
    """Return whether strategy code runs for this bot: never in quarantine, where the guard works alone."""
    quarantined = state.status == Status.ERROR_CRASHED and state.halted_by is HaltedBy.SYSTEM
    return state.is_active and not quarantined


def needs_market(state: BotState) -> bool:
    """Return whether prices are needed: the bot is active, or its position shall be closed."""
    return state.is_active or (state.in_position and state.close_requested_at is not None)
