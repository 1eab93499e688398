"""One bot: receive, decide, commit, then act.

    feed ──PriceTouched/SignalGiven──▶ bot ──Commit──▶ committer
    desk ──OrderSettled──────────────▶  │ ◀──outcome────┘
    warden ──Reload──────────────────▶  └──Send/Resolve──▶ desk

What is held here is a cache of one row (`CachedRow`). Nothing is sent before the transaction that
intended it has committed, and whatever is open at a start is asked about, never sent.
"""

from datetime import datetime
from decimal import Decimal

from botwarden.actors.bot_mail import BotMessage, OwnWord, Rearm, Reload, Remind, Swept, Tick, WriteMark
from botwarden.actors.cached_row import CachedRow, Decide, Result
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.desk_mail import DeskFailed, DeskNotice, DeskReady, FreeBalance, ListStirred
from botwarden.actors.engagement import Engagement, hears_signals, needs_market
from botwarden.actors.feed_mail import (
    FeedLost,
    FeedNotice,
    FeedRestored,
    HighMissed,
    PriceTouched,
    SignalGiven,
    StrategyFailed,
    Subject,
)
from botwarden.actors.hearing import Hearing
from botwarden.actors.high_water import HighWater, write_mark
from botwarden.actors.loading import BotRow
from botwarden.actors.order import OrderSettled
from botwarden.actors.patience import Patience
from botwarden.actors.progress import Forget, Ran
from botwarden.actors.signals import StrategyCrashedError
from botwarden.actors.surroundings import Surroundings
from botwarden.actors.tending import LookAtList, Tend, Tending
from botwarden.actors.trading_rules import TradingRules
from botwarden.persistence.commits import Settlement
from botwarden.runtime import Actor, Next
from botwarden.trading.bot import BotId, BotState, Cause, Status
from botwarden.trading.evaluation import may_decide
from botwarden.trading.halts import DISTURBANCES
from botwarden.trading.machine import (
    Adopted,
    Decision,
    Disturbed,
    Evaluated,
    Input,
    OutcomeArrived,
    PriceMoved,
    ProtectionDue,
    Recovered,
    decide,
)
from botwarden.trading.orders import NeverSent, OrderType, Rejected, Side

#: How long the bot waits after a touch that led to nothing.
IDLE_TOUCH_PAUSE_S = 1.0

RETRY_AFTER_S = 1.0

#: Insufficient balance. Source: Binance spot API, errors, -2010.
INSUFFICIENT = -2010

#: How often an open order is brought to the desk's mind again.
REMIND_EVERY_S = 10.0


class BotActor(Actor[BotMessage]):
    """Takes one bot from input to input; everything it knows can be read again."""

    def __init__(
        self,
        bot_id: BotId,
        term: int,
        surroundings: Surroundings,
        colleagues: Colleagues,
        row: BotRow | None = None,
    ) -> None:
        self._bot_id = bot_id
        self._surroundings = surroundings
        self._colleagues = colleagues
        self._cached = CachedRow(bot_id, term, colleagues, row)
        #: An outcome that could not be committed yet.
        self._unsettled: OrderSettled | None = None
        self._patience = Patience()
        self._hearing = Hearing()
        self._tick_every_s: int | None = None
        #: Taken up amid its work: the next evaluation need not wait for a tick of ours.
        self._is_due = True
        #: Number of the open order that the desk was last told about.
        self._attending: int | None = None
        self._gone = False

    async def started(self) -> None:
        """Take up the row that was handed over, or read it."""
        self._engagement = Engagement(self._bot_id, self.context.ref, self._colleagues)
        self._high_water = HighWater(self.context, self._engagement)
        self._tending = Tending(self.context, self._engagement)
        self._rules = TradingRules(self.context, self._surroundings.symbols)
        if self._cached.row is None:
            self.context.ref.tell(Reload())
        else:
            await self._converge()
            await self._follow_up()

    async def stopped(self) -> None:
        """Let go of feed and desk."""
        self._engagement.release()
        self._colleagues.progress.tell(Forget(bot_id=self._bot_id))

    async def receive(self, message: BotMessage, /) -> Next:
        """Handle one message; stop when the bot is gone or another replica's."""
        if isinstance(message, Reload) or (isinstance(message, Swept) and self._is_behind(message.version)):
            await self._reload()
        elif self._cached.row is not None and not isinstance(message, Swept):
            await self._handle(message)
            await self._heed()
        await self._follow_up()
        return Next.STOP if self._gone else Next.CONTINUE

    async def _handle(self, message: FeedNotice | DeskNotice | OwnWord) -> None:
        match message:
            case PriceTouched(price_quote=price):
                await self._on_touch(price)
            case HighMissed():
                await self._on_missed(message)
            case SignalGiven(signal=signal, price_quote=price, subject=subject):
                if subject == self._hearing.subject:
                    self._engagement.price = price
                    self._hearing.hear(signal)
                    await self._evaluate(price)
            case StrategyFailed(message=why):
                raise StrategyCrashedError(why)
            case OrderSettled():
                await self._settle(message)
            case Tick() | Remind() | Rearm() | WriteMark() | Tend() | LookAtList() | ListStirred():
                await self._on_own_word(message)
            case _:
                await self._on_surroundings(message)

    async def _on_own_word(self, message: OwnWord | ListStirred) -> None:
        match message:
            case Tick():
                await self._on_tick()
            case Remind():
                self._attend_open_order(again=True)
            case Rearm():
                self._follow_state()
            case WriteMark():
                await self._write_mark(self._state())
            case Tend():
                await self._tend()
            case LookAtList() | ListStirred():
                self._tending.look(self._row())

    async def _on_surroundings(
        self, notice: FeedLost | FeedRestored | DeskReady | DeskFailed | FreeBalance
    ) -> None:
        match notice:
            case FeedLost() | FeedRestored():
                self._engagement.feed = notice
            case DeskFailed() | DeskReady():
                self._engagement.desk = notice
            case FreeBalance(free_base=free):
                self._patience.learn(free, self._monotonic())
                self._engage()
                return
        if isinstance(notice, FeedRestored):
            self._engagement.price = notice.price_quote
        await self._face_surroundings()

    async def _face_surroundings(self) -> None:
        """Show what is missing as a status; take it back when it is there again; then go to work."""
        trouble = self._engagement.trouble
        if trouble is not None:
            await self._apply(Disturbed(status=trouble[0], message=trouble[1], at=self._now()))
        elif self._engagement.is_ready:
            status = self._state().status
            self._is_due &= status not in DISTURBANCES | {Status.STOPPED, Status.PENDING}
            if status in DISTURBANCES:
                await self._apply(Recovered(status=status, at=self._now()))
            await self._adopt()
            await self._evaluate_if_due()

    async def _reload(self) -> None:
        match await self._cached.read():
            case Result.GONE:
                self._gone = True
            case Result.COMMITTED:
                await self._converge()
                await self._heed()
            case _:
                self._retry_later()

    async def _converge(self) -> None:
        """Bring what this bot does in line with what its row says."""
        if self._unsettled is not None:
            await self._settle(self._unsettled)
        self._attend_open_order()
        self._follow_state()
        if needs_market(self._state()):
            await self._refresh_rules()
            await self._face_surroundings()

    async def _follow_up(self) -> None:
        """Converge on a row that was met amid a decision: neither word nor sweep will tell of it again."""
        while not self._gone and self._cached.take_moved():
            await self._converge()
            await self._heed()

    async def _adopt(self) -> None:
        """Feed and desk are there: stopped → pending → running."""
        while self._state().is_active and self._state().status in (Status.STOPPED, Status.PENDING):
            if await self._apply(Adopted(at=self._now())) is not Result.COMMITTED:
                return

    async def _evaluate_if_due(self) -> None:
        """Evaluate once when feed and desk are there for the first time; from then on at each tick."""
        if self._is_due and self._state().is_active and self._engagement.price is not None:
            self._is_due = False
            await self._evaluate(self._engagement.price)

    async def _evaluate(self, price: Decimal) -> None:
        """Decide upon what the strategy has said; it is kept until there was a state to decide it in."""
        event = Evaluated(signal=self._hearing.unheeded, price_quote=price, at=self._now())
        subject, listened = self._hearing.subject, False

        def decide_on(row: BotRow, state: BotState) -> Decision:
            nonlocal listened
            if Subject.of(row.config) != subject:  # Its owner has changed it this very moment.
                return Decision(state=row.state, cause=Cause.STRATEGY, kind="bot.evaluated")
            listened = may_decide(state)
            return decide(row.config, state, event, instrument=self._rules.instrument)

        result = await self._commit_with(decide_on)
        if listened and result is not Result.LATER:
            self._hearing.heeded()
        if self._state().is_active:
            due_s = float(self._row().config.check_interval_seconds)
            self._colleagues.progress.tell(Ran(bot_id=self._bot_id, at=self._now(), next_within_s=due_s))

    async def _heed(self) -> None:
        """Come back to what the strategy said while nothing could be decided."""
        if not hears_signals(self._state()):
            self._hearing.heeded()
        elif self._hearing.waits and may_decide(self._state()) and self._engagement.price is not None:
            await self._evaluate(self._engagement.price)

    async def _on_tick(self) -> None:
        """The strategy has nothing new to say, but limits, rules and open ends are looked at."""
        await self._refresh_rules()
        if self._engagement.price is not None and self._engagement.is_ready:
            await self._evaluate(self._engagement.price)
        self._engage()

    async def _on_touch(self, price: Decimal) -> None:
        """A price meets a threshold: raise the mark, or leave."""
        self._engagement.touched(price)
        await self._refresh_rules()
        decision = self._decide(self._price_moved(price))
        wait_s = self._patience.left_s(self._monotonic())
        if decision.kind == "mark.raised":
            await self._write_mark(decision.state)
        elif decision.intent is not None and wait_s > 0:
            self._engage_later(wait_s)
        elif await self._apply(self._price_moved(price)) is not Result.COMMITTED:
            self._engage_later(IDLE_TOUCH_PAUSE_S)

    async def _on_missed(self, missed: HighMissed) -> None:
        """The market was higher while nobody watched: the mark rises to where it would have been."""
        await self._refresh_rules()
        raised = self._high_water.raised(self._row().config, self._state(), missed, self._rules.instrument)
        if raised != self._state():
            await self._write_mark(raised)

    async def _write_mark(self, state: BotState) -> None:
        """Hold the high-water mark, and write it at most once a second."""
        self._cached.hold(state)
        if self._high_water.may_be_written():
            await self._commit_with(write_mark)
        self._engage()

    async def _tend(self) -> None:
        """Have the protective list placed or taken off, if that is due."""
        await self._refresh_rules()
        event = ProtectionDue(at=self._now(), resting=self._row().resting, price_quote=self._engagement.price)
        if await self._apply(event) is Result.UNCHANGED:
            self._tending.idle()

    async def _settle(self, settled: OrderSettled) -> None:
        self._unsettled = settled
        event = OutcomeArrived(order=settled.order, outcome=settled.outcome, at=self._now())
        result = await self._apply(event, Settlement(order=settled.order, outcome=settled.outcome))
        if result is Result.LATER:
            return
        self._unsettled = None
        self._patience.note(settled.order, settled.outcome, self._monotonic())
        if isinstance(settled.outcome, Rejected) and settled.order.type is OrderType.MARKET:
            await self._on_rejected(settled.outcome, settled.order.side)

    async def _on_rejected(self, rejected: Rejected, side: Side) -> None:
        self._rules.doubt()
        await self._refresh_rules()
        instrument = self._rules.instrument
        if rejected.code == INSUFFICIENT and side is Side.SELL and instrument is not None:
            self._engagement.look_up_free(self._row().config, instrument.base_asset)

    async def _apply(self, event: Input, settles: Settlement | None = None) -> Result:
        """Decide and commit; then do what the new state asks for."""
        return await self._commit_with(
            lambda row, state: decide(row.config, state, event, instrument=self._rules.instrument), settles
        )

    async def _commit_with(self, decide_on: Decide, settles: Settlement | None = None) -> Result:
        result = await self._cached.apply(decide_on, settles)
        match result:
            case Result.COMMITTED:
                self._attend_open_order()
                self._follow_state()
            case Result.LATER:
                self._retry_later()
            case Result.GONE:
                self._gone = True
            case Result.UNCHANGED:
                pass
        return result

    def _follow_state(self) -> None:
        """Ask feed and desk for what this state needs."""
        config = self._row().config
        self._hearing.turn_to(Subject.of(config))
        tick_every_s = config.check_interval_seconds if self._state().is_active else None
        if tick_every_s != self._tick_every_s:
            self._tick_every_s = tick_every_s
            self.context.cancel_timer("tick")
            if tick_every_s is not None:
                self.context.start_interval("tick", Tick(), every_s=tick_every_s)
            else:
                self._colleagues.progress.tell(Forget(bot_id=self._bot_id))
        if needs_market(self._state()):
            self._engage()
        else:
            self._engagement.release()
        self._high_water.follow(config, self._state())
        self._tending.follow(self._row(), self._state(), self._rules.instrument, self._now())

    def _attend_open_order(self, *, again: bool = False) -> None:
        """Send the order that was just committed, once; have any other that is open asked about."""
        row = self._row()
        unsent = self._cached.take_unsent()
        if unsent is not None and unsent.number != self._attending:
            self._attending = unsent.number
            if not self._engagement.send(row, unsent):
                outcome = NeverSent(message="the desks have too much mail")
                self.context.ref.tell(OrderSettled(order=unsent, outcome=outcome))
        elif row.open_order is not None and (again or self._attending != row.open_order.number):
            self._attending = row.open_order.number
            self._engagement.resolve(row, row.open_order)
        if row.open_order is not None:
            self.context.start_timer("remind", Remind(), after_s=REMIND_EVERY_S)

    async def _refresh_rules(self) -> None:
        if not await self._rules.refresh(self._row().config):
            self._engage_later(RETRY_AFTER_S)

    def _engage(self) -> None:
        self._engagement.engage(self._row().config, self._state())

    def _engage_later(self, after_s: float) -> None:
        self.context.start_timer("rearm", Rearm(), after_s=after_s)

    def _retry_later(self) -> None:
        self.context.start_timer("retry", Reload(), after_s=RETRY_AFTER_S)

    def _price_moved(self, price: Decimal) -> PriceMoved:
        return PriceMoved(
            price_quote=price, at=self._now(), free_base=self._patience.free_base(self._monotonic())
        )

    def _decide(self, event: Input) -> Decision:
        return decide(self._row().config, self._state(), event, instrument=self._rules.instrument)

    def _is_behind(self, version: int) -> bool:
        return self._cached.row is None or self._cached.row.state.version < version

    def _row(self) -> BotRow:
        assert self._cached.row is not None  # noqa: S101 - messages are handled only once it was read
        return self._cached.row

    def _state(self) -> BotState:
        assert self._cached.state is not None  # noqa: S101 - there exactly when the row is
        return self._cached.state

    def _now(self) -> datetime:
        return self.context.clock.now()

    def _monotonic(self) -> float:
        return self.context.clock.monotonic()
