"""Bot and list against a small venue: whatever happens in whatever order, both never sell the same coins."""

from datetime import date, timedelta
from decimal import Decimal, localcontext

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from botwarden.errors import Invalid, Refused
from botwarden.trading.bot import BotConfig
from botwarden.trading.decisions import ProtectionDue
from botwarden.trading.exits import may_try
from botwarden.trading.machine import (
    Adopted,
    CloseRequested,
    DayTurned,
    Decision,
    Evaluated,
    Input,
    LateFound,
    OutcomeArrived,
    PriceMoved,
    Signal,
    StartRequested,
    StatePut,
    decide,
)
from botwarden.trading.orders import (
    Absent,
    Executed,
    ListEnded,
    Order,
    OrderStatus,
    OrderType,
    Outcome,
    Reason,
    Resting,
    Side,
    Trade,
    Unexplained,
)
from tests.trading.examples import INSTRUMENT, NOW, TODAY, order_of, stopped
from tests.trading.list_model import COMMANDS, CONFIGS, FEES, HOURS, LIST_ID, LOST, PARTS, PRICES, ListAtVenue
from tests.trading.venue_model import VenueModel, is_stuck


class ListAgainstVenue(RuleBasedStateMachine):
    """Drives `decide` with everything that can happen to a bot, its orders and its list."""

    @initialize(config=CONFIGS)
    def begin(self, config: BotConfig) -> None:
        self.config = config
        self.state = stopped()
        self.venue = VenueModel()
        self.now = NOW
        self.day = TODAY
        self.price = Decimal(100)
        self.order: Order | None = None
        self.resting: Order | None = None
        self.listed: ListAtVenue | None = None
        self.trades: list[Trade] = []
        #: Market orders and lists that were given up as absent.
        self.given_up: list[Order] = []
        self.owner_asks(StartRequested(at=NOW))

    # -- what the bot is told ----------------------------------------------------------------------

    def tell(self, event: Input) -> Decision | None:
        before = self.state
        try:
            decision = decide(self.config, before, event, instrument=INSTRUMENT)
        except (Refused, Invalid):
            assert isinstance(event, (CloseRequested, StatePut))
            return None
        if decision.intent is not None:
            self.order = order_of(decision.intent)
            self.check_intent(self.order)
        if decision.trade is not None:
            self.trades.append(decision.trade)
        self.state = decision.state
        if not self.state.in_position and before.in_position:
            self.venue.dust = self.venue.coins
        return decision

    def check_intent(self, order: Order) -> None:
        """Nothing is sold or bought by the bot while the venue may still sell for it."""
        before = self.state
        assert before.open_order_number is None
        assert order.number == before.orders_made + 1
        alive = self.listed is not None and self.listed.is_alive
        match order.type:
            case OrderType.MARKET:
                assert before.resting_list_number is None
                assert not alive
                assert self.unbooked == 0
                if order.side is Side.SELL:
                    assert order.quantity_base <= before.current_position_size_coins
                    assert order.quantity_base <= self.venue.coins - self.venue.dust
                else:
                    assert not before.in_position or is_stuck(before, order.decided_price_quote)
            case OrderType.OCO:
                assert before.resting_list_number is None
                assert not alive
                assert before.is_active
                assert self.config.exchange_protection
                assert order.quantity_base <= before.current_position_size_coins <= self.venue.coins
                assert order.stop_loss_price < order.take_profit_price
            case OrderType.CANCEL:
                assert order.cancels_number == before.resting_list_number == self.listed.order.number

    @rule(signal=st.sampled_from(Signal), price=PRICES)
    def evaluated(self, signal: Signal, price: Decimal) -> None:
        self.price = price
        self.tell(Evaluated(signal=signal, price_quote=price, at=self.now))

    @rule(price=PRICES)
    def price_moved(self, price: Decimal) -> None:
        self.price = price
        self.tell(PriceMoved(price_quote=price, at=self.now))

    @rule(command=COMMANDS)
    def owner_asks(self, command: Input) -> None:
        self.tell(command)
        self.tell(Adopted(at=self.now))
        self.tell(Adopted(at=self.now))

    @rule(protects=st.booleans())
    def owner_patches(self, protects: bool) -> None:
        self.config = replace(self.config, exchange_protection=protects)

    @rule(seconds=st.sampled_from([1, 3, 40]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(hours=HOURS)
    def day_turned(self, hours: int) -> None:
        """The bot's day turns; that of the trades may have turned long ago, or be about to."""
        resting, leaving = self.state.resting_list_number, self.state.leaving
        self.now += timedelta(hours=hours)
        day = self.state.trading_day + timedelta(days=1)
        pnl, count = self.sums_of(day)
        event = DayTurned(day=day, daily_pnl=pnl, daily_trades_count=count, reactivate_all=False, at=self.now)
        self.tell(event)
        assert (self.state.resting_list_number, self.state.leaving) == (resting, leaving)
        self.owner_asks(Adopted(at=self.now))

    @rule(knows_price=st.booleans())
    def tended(self, knows_price: bool) -> None:
        price = self.price if knows_price else None
        self.tell(ProtectionDue(at=self.now, resting=self.resting, price_quote=price))

    # -- market orders -----------------------------------------------------------------------------

    @precondition(lambda self: self.order is not None and self.order.type is OrderType.MARKET)
    @rule(parts=PARTS, fee_in=FEES)
    def executed(self, parts: list[Decimal], fee_in: str) -> None:
        outcome = self.venue.execute(self.order, parts=parts, price=self.price, fee_in=fee_in, at=self.now)
        self.settle(outcome)

    @precondition(lambda self: self.order is not None and self.order.type is OrderType.MARKET)
    @rule(outcome=LOST | st.just(Unexplained(message="whose?")))
    def not_executed(self, outcome: Outcome) -> None:
        self.give_up_if_absent(outcome)
        self.settle(outcome)

    def give_up_if_absent(self, outcome: Outcome) -> None:
        if isinstance(outcome, Absent):
            self.given_up.append(replace(self.order, status=OrderStatus.ABSENT))

    # -- the list ----------------------------------------------------------------------------------

    @precondition(lambda self: self.order is not None and self.order.type is OrderType.OCO)
    @rule(outcome=st.none() | st.none() | LOST | st.just(Unexplained(message="whose?")))
    def placed(self, outcome: Outcome | None) -> None:
        """The venue takes the list, or does not."""
        if outcome is None:
            self.listed = ListAtVenue(self.order)
            outcome = Resting(venue_list_id=LIST_ID)
        self.give_up_if_absent(outcome)
        self.settle(outcome)

    @precondition(lambda self: self.order is not None and self.order.type is OrderType.OCO)
    @rule(above=st.booleans(), part=st.sampled_from(["1", "0.3", "0"]), fee_in=FEES)
    def placed_and_gone(self, above: bool, part: str, fee_in: str) -> None:
        """The answer was lost, and when the list is found it has ended already."""
        self.listed = ListAtVenue(self.order)
        if Decimal(part):
            self.leg_executes(above, part, fee_in)
        self.listed.is_alive = False
        self.settle(self.listed.ended())

    @precondition(lambda self: self.listed is not None and self.listed.is_alive)
    @rule(above=st.booleans(), part=st.sampled_from(["1", "1", "0.3"]), fee_in=FEES)
    def leg_executes(self, above: bool, part: str, fee_in: str) -> None:
        """The venue executes a leg; nobody is told."""
        listed = self.listed
        size = listed.left if part == "1" else (listed.left * Decimal(part)).quantize(Decimal("0.001"))
        if listed.take_profit and not above:
            return  # A part of the upper leg is executed: the lower is gone.
        price = listed.order.take_profit_price if above else listed.order.stop_loss_price
        leg = listed.take_profit if above else listed.stop_loss
        if size > 0:
            leg.append(self.venue.fill(Side.SELL, size, price, fee_in, self.now))
        listed.is_alive = above and listed.left > 0

    @precondition(lambda self: self.listed is not None and self.listed.is_alive)
    @rule()
    def someone_cancels_at_the_venue(self) -> None:
        self.listed.is_alive = False

    @precondition(lambda self: self.resting is not None and not self.listed.is_alive)
    @rule()
    def looked(self) -> None:
        """The look finds that the list has ended, also while a cancel of it is under way."""
        self.settle(self.listed.ended(), self.resting)

    @precondition(lambda self: self.order is not None and self.order.type is OrderType.CANCEL)
    @rule()
    def cancelled(self) -> None:
        """The cancel arrives; what it finds was executed before it."""
        self.listed.is_alive = False
        self.settle(self.listed.ended())

    @precondition(
        lambda self: self.order is not None and self.order.type is OrderType.CANCEL and self.listed.is_alive
    )
    @rule(outcome=LOST)
    def not_cancelled(self, outcome: Outcome) -> None:
        self.settle(outcome)

    @rule(entry=PRICES, exits=PRICES, above=st.booleans(), asleep=st.booleans())
    def protected_trip(self, entry: Decimal, exits: Decimal, above: bool, asleep: bool) -> None:
        """What a protected bot does all day: enter, protect, and be left by the list or by itself."""
        self.evaluated(Signal.BUY, entry)
        if self.order is not None and self.order.type is OrderType.MARKET:
            self.executed([1], "BTC")
        self.tended(knows_price=True)
        if self.order is not None and self.order.type is OrderType.OCO:
            self.placed(None)
        if asleep and self.listed is not None and self.listed.is_alive:
            self.leg_executes(above, "1", "USDT")
        self.price_moved(exits)

    # -- what was given up -------------------------------------------------------------------------

    @precondition(lambda self: self.given_up and self.order is not None)
    @rule(which=st.integers(0, 3))
    def found_too_early(self, which: int) -> None:
        """While an order is open a find waits."""
        order, before = self.given_up[which % len(self.given_up)], self.state
        shown: Executed | Resting = Resting(venue_list_id=LIST_ID)
        if order.type is OrderType.MARKET:
            shown = VenueModel().execute(
                order, parts=[1], price=self.price, fee_in="BNB", at=self.now, others=True
            )
        decision = self.tell(LateFound(order=order, outcome=shown, elsewhere=False, at=self.now))
        assert (decision.state, decision.trade, decision.intent) == (before, None, None)

    @precondition(lambda self: self.given_up and self.order is None and self.may_be_found)
    @rule(which=st.integers(0, 3), parts=PARTS, fee_in=FEES, how=st.sampled_from(["rests", "above", "below"]))
    def found_late(self, which: int, parts: list[Decimal], fee_in: str, how: str) -> None:
        """The venue shows an order or a list after all; what it sold beyond the books was others'."""
        order = self.given_up.pop(which % len(self.given_up))
        if order.type is OrderType.OCO and how == "rests":
            self.list_found_at_rest(order)
            return
        price = self.price
        if order.type is OrderType.OCO:
            price = order.take_profit_price if how == "above" else order.stop_loss_price
        shown: Executed | ListEnded = self.venue.execute(
            order, parts=parts, price=price, fee_in=fee_in, at=self.now, others=True
        )
        if order.type is OrderType.OCO:
            above, below = (shown.fills, ()) if how == "above" else ((), shown.fills)
            shown = ListEnded(venue_list_id=LIST_ID, status=shown.status, take_profit=above, stop_loss=below)
        before = self.state
        decision = self.tell(LateFound(order=order, outcome=shown, elsewhere=False, at=self.now))
        assert decision.intent is None
        assert (decision.trade is not None) == bool(shown.fills)
        if order.side is Side.SELL and not decision.state.in_position and not before.in_position:
            assert decision.state.current_position_size_coins == 0

    def list_found_at_rest(self, order: Order) -> None:
        """It stands there as long as there are coins that it can sell."""
        if order.quantity_base > self.state.current_position_size_coins:
            return
        self.listed, self.resting = ListAtVenue(order), order
        shown = Resting(venue_list_id=LIST_ID)
        decision = self.tell(LateFound(order=order, outcome=shown, elsewhere=False, at=self.now))
        assert (decision.trade, decision.intent) == (None, None)

    @property
    def may_be_found(self) -> bool:
        """Whether the coins are free: what a list holds, or has sold unseen, nothing else has sold."""
        return self.resting is None and self.unbooked == 0

    def settle(self, outcome: Outcome, order: Order | None = None) -> None:
        settled = order or self.order
        if order is None:
            self.order = None
        resting_before = self.state.resting_list_number
        event = OutcomeArrived(order=settled, outcome=outcome, at=self.now)
        if isinstance(outcome, ListEnded):
            self.venue.settle_fees()
        decision = self.tell(event)
        if isinstance(outcome, Resting):
            self.resting = settled
        if self.state.resting_list_number is None:
            self.resting = None
        if isinstance(outcome, ListEnded) and (
            settled.type is OrderType.OCO or settled.cancels_number == resting_before
        ):
            self.check_booked(decision, outcome)
        again = decide(self.config, self.state, event, instrument=INSTRUMENT)
        assert (again.state, again.trade) == (self.state, None)

    def check_booked(self, decision: Decision, outcome: ListEnded) -> None:
        """What the list sold is one trade of the list, with the reason of the leg."""
        self.listed.is_booked = True
        if not outcome.fills:
            assert decision.trade is None
            return
        trade = decision.trade
        assert (trade.order_number, trade.side) == (self.listed.order.number, Side.SELL)
        assert trade.quantity_base == self.listed.sold
        assert trade.reason in (Reason.TAKE_PROFIT, Reason.STOP_LOSS)
        if not outcome.take_profit or not outcome.stop_loss:
            assert (trade.reason is Reason.TAKE_PROFIT) == bool(outcome.take_profit)

    # -- invariants --------------------------------------------------------------------------------

    @property
    def unbooked(self) -> Decimal:
        listed = self.listed
        return listed.sold if listed is not None and not listed.is_booked else Decimal(0)

    @invariant()
    def never_more_is_sold_than_held(self) -> None:
        assert not self.venue.sold_too_much
        if self.listed is not None:
            assert self.listed.left <= self.venue.coins

    @invariant()
    def books_equal_the_venue(self) -> None:
        """Coins to the last digit, and cash as soon as all that happened is booked."""
        assert self.state.current_position_size_coins + self.venue.dust == self.venue.coins + self.unbooked
        if self.unbooked == 0:
            with localcontext(prec=80):
                realised = sum((trade.realised_pnl_quote for trade in self.trades), Decimal(0))
                assert realised - self.state.position_cost_quote == self.venue.cash

    def sums_of(self, day: date) -> tuple[Decimal, int]:
        """Return what the trades of a day have realised, and how many they are."""
        mine = [trade for trade in self.trades if trade.executed_at.date() == day]
        with localcontext(prec=80):
            return sum((trade.realised_pnl_quote for trade in mine), Decimal(0)), len(mine)

    @invariant()
    def counters_are_those_of_their_day(self) -> None:
        """Counters are the trades of their day, those of lists among them, whenever they are booked."""
        state = self.state
        assert (state.daily_pnl, state.daily_trades_count) == self.sums_of(state.trading_day)

    @invariant()
    def the_state_is_whole(self) -> None:
        state = self.state
        assert state.open_order_number == (self.order.number if self.order is not None else None)
        assert state.resting_list_number == (self.resting.number if self.resting is not None else None)
        assert state.in_position or state.resting_list_number is None
        assert state.in_position or state.leaving is None
        assert state.in_position or state.close_requested_at is None or state.open_order_number is not None

    @invariant()
    def no_list_is_forgotten(self) -> None:
        """While the venue has a list of ours, we know of it."""
        if self.listed is not None and self.listed.is_alive:
            assert self.listed.order.number == self.state.resting_list_number

    @invariant()
    def what_is_not_wanted_is_taken_off(self) -> None:
        """A list of a stopped bot, or of one that shall have none, is cancelled with the next look."""
        state = self.state
        if state.resting_list_number is None or state.open_order_number is not None:
            return
        if (state.is_active and self.config.exchange_protection) or not may_try(state, self.now):
            return
        due = ProtectionDue(at=self.now, resting=self.resting, price_quote=None)
        intent = decide(self.config, state, due, instrument=INSTRUMENT).intent
        assert intent is not None
        assert intent.type is OrderType.CANCEL


TestListAgainstVenue = ListAgainstVenue.TestCase
TestListAgainstVenue.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
