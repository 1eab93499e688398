"""The machine against a small venue: whatever happens in whatever order, the invariants hold."""

from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from botwarden.errors import Invalid, Refused
from botwarden.trading.bot import BotConfig, HaltedBy, Status
from botwarden.trading.guard import raise_high
from botwarden.trading.halts import is_quarantined
from botwarden.trading.limits import reached_limit
from botwarden.trading.machine import (
    Adopted,
    CloseRequested,
    Crashed,
    DayTurned,
    Decision,
    Disturbed,
    Evaluated,
    Input,
    LateFound,
    OutcomeArrived,
    PriceMoved,
    Recovered,
    Signal,
    StartRequested,
    StatePut,
    StopRequested,
    decide,
)
from botwarden.trading.orders import (
    Absent,
    NeverSent,
    Order,
    OrderStatus,
    Outcome,
    Rejected,
    Side,
    Trade,
    Unexplained,
)
from tests.trading.examples import INSTRUMENT, NOW, TODAY, make_config, order_of, stopped
from tests.trading.venue_model import VenueModel, is_stuck

SIZES = [
    {"position_size_fixed": Decimal("0.5")},
    {"position_size_fixed": Decimal(2)},
    {"position_size_fixed": None, "position_size_perc": Decimal(30)},
]
CONFIGS = st.builds(
    lambda size, **others: make_config(**size, **others),
    st.sampled_from(SIZES),
    trailing_stop_active=st.booleans(),
    trailing_stop_perc=st.just(Decimal(3)),
    max_daily_trades=st.none() | st.integers(1, 6),
    max_daily_loss_perc=st.none() | st.just(Decimal(2)),
    daily_target_perc=st.none() | st.just(Decimal(3)),
    reactivate_daily=st.booleans(),
)
PRICES = st.decimals(min_value=50, max_value=200, places=2)
FILLS = st.fixed_dictionaries(
    {
        "parts": st.sampled_from(
            [
                [1],
                [Decimal("0.4"), Decimal("0.6")],
                [Decimal("0.3")],
                [Decimal("0.003")],
                [Decimal("0.997")],
                [],
            ]
        ),
        "fee_in": st.sampled_from(["USDT", "BTC", "BNB"]),
        "lag": st.sampled_from([0, 0, 0, -1, 1]),
    }
)
REFUSALS = st.sampled_from(
    [Rejected(code=-2010, message="no"), NeverSent(message="late"), Absent(), Unexplained(message="whose?")]
)
STOPS = [StopRequested(at=NOW), StatePut(changes={"status": "stopped"}, at=NOW)]
COMMANDS = (
    st.sampled_from([StartRequested(at=NOW), CloseRequested(at=NOW), *STOPS])
    | st.just(StartRequested(at=NOW))
    | st.builds(
        lambda stop, profit: StatePut(changes={"stop_loss_price": stop, "take_profit_price": profit}, at=NOW),
        st.none() | PRICES,
        st.none() | PRICES,
    )
)
AWAY = [Status.ERROR_PRICE, Status.ERROR_KEYS_MISSING]
FROM_THE_HOLDER = st.sampled_from(
    [
        Adopted(at=NOW),
        Crashed(message="boom", at=NOW),
        *(Disturbed(status=status, message="away", at=NOW) for status in AWAY),
        *(Recovered(status=status, at=NOW) for status in AWAY),
    ]
) | st.just(Adopted(at=NOW))


class MachineAgainstVenue(RuleBasedStateMachine):
    """Drives `decide` with every input, and keeps its own books of what really happened."""

    @initialize(config=CONFIGS, prompt=st.sampled_from([True, True, True, False]))
    def begin(self, config: BotConfig, prompt: bool) -> None:
        self.config = config
        self.state = stopped()
        self.venue = VenueModel()
        self.order: Order | None = None
        self.orders_settled = 0
        self.trades: list[Trade] = []
        #: Orders that were given up as absent.
        self.given_up: list[Order] = []
        self.price = Decimal(100)
        self.day = TODAY
        self.stopped_by_owner = True
        #: Whether the holder adopts at once, as it does in life, or only when a rule says so.
        self.prompt = prompt
        self.owner_asks(StartRequested(at=NOW))

    # -- inputs ------------------------------------------------------------------------------------

    def tell(self, event: Input, *, instrument: object = INSTRUMENT) -> Decision | None:
        before = self.state
        try:
            decision = decide(self.config, before, event, instrument=instrument)
        except (Refused, Invalid):
            assert isinstance(event, (CloseRequested, StatePut))
            return None
        assert decide(self.config, before, event, instrument=instrument) == decision
        after = decision.state
        assert (after.version, after.term, after.bot_id) == (before.version, before.term, before.bot_id)
        if decision.intent is not None:
            self.check_intent(decision)
            self.order = order_of(decision.intent)
        self.state = after
        return decision

    def check_intent(self, decision: Decision) -> None:
        before, intent = self.state, decision.intent
        assert self.order is None
        assert before.open_order_number is None
        assert intent.number == before.orders_made + 1 == decision.state.open_order_number
        assert before.is_active or before.close_requested_at is not None
        if intent.side is Side.SELL:
            assert intent.quantity_base <= before.current_position_size_coins
            assert intent.quantity_base <= self.venue.coins - self.venue.dust
        else:
            assert not before.in_position or is_stuck(before, intent.decided_price_quote)
            assert before.is_active
            assert not is_quarantined(before)
            assert reached_limit(self.config, before) is None
            assert before.close_requested_at is None

    @rule(signal=st.sampled_from(Signal), price=PRICES)
    def evaluated(self, signal: Signal, price: Decimal) -> None:
        """The strategy speaks; right after it, silence has nothing left to change."""
        self.price = price
        decision = self.tell(Evaluated(signal=signal, price_quote=price, at=NOW))
        if decision is not None and decision.intent is None:
            hold = Evaluated(signal=Signal.HOLD, price_quote=price, at=NOW)
            settled = decide(self.config, self.state, hold, instrument=INSTRUMENT).state
            assert decide(self.config, settled, hold, instrument=INSTRUMENT).state == settled

    @rule(price=PRICES, how=st.sampled_from(["plain", "plain", "short", "blind", "in memory"]))
    def price_moved(self, price: Decimal, how: str) -> None:
        """The market trades; the account may lack coins, the venue's rules be unknown, the high unwritten."""
        self.price = price
        if how == "in memory" and self.state.is_active:
            self.state = raise_high(self.config, self.state, price)
            return
        free = self.venue.coins / 2 if how == "short" else None
        event = PriceMoved(price_quote=price, at=NOW, free_base=free)
        self.tell(event, instrument=None if how == "blind" else INSTRUMENT)

    @rule(command=COMMANDS)
    def owner_asks(self, command: Input) -> None:
        self.tell(command)
        if isinstance(command, StartRequested):
            self.stopped_by_owner = False
        if command in STOPS:
            self.stopped_by_owner = True
        self.converge()

    def converge(self) -> None:
        if self.prompt:
            self.holder_tells(Adopted(at=NOW))
            self.holder_tells(Adopted(at=NOW))

    @rule(event=FROM_THE_HOLDER)
    def holder_tells(self, event: Input) -> None:
        self.tell(event)

    @rule(days=st.integers(0, 2))
    def day_turned(self, days: int) -> None:
        self.day += timedelta(days=days)
        mine = [trade for trade in self.trades if trade.executed_at.date() == self.day]
        pnl = sum((trade.realised_pnl_quote for trade in mine), Decimal(0))
        event = DayTurned(
            day=self.day, daily_pnl=pnl, daily_trades_count=len(mine), reactivate_all=False, at=NOW
        )
        self.tell(event)
        self.converge()

    # -- outcomes ----------------------------------------------------------------------------------

    @precondition(lambda self: self.order is not None)
    @rule(fill=FILLS)
    def executed(self, fill: dict[str, Any]) -> None:
        """The venue executes, all, a part or nothing; the fee is in quote, in the coin or in BNB."""
        self.settle(self.venue.execute(self.order, **self.how(fill)))

    def how(self, fill: dict[str, Any]) -> dict[str, Any]:
        """Return how the venue executes; some executions are of yesterday or tomorrow by our day."""
        at = NOW + (self.day - TODAY) + timedelta(days=fill["lag"])
        return {"parts": fill["parts"], "price": self.price, "fee_in": fill["fee_in"], "at": at}

    @precondition(lambda self: self.order is not None)
    @rule(outcome=REFUSALS)
    def not_executed(self, outcome: Outcome) -> None:
        if isinstance(outcome, Absent):
            self.given_up.append(self.order)
        self.settle(outcome)

    @precondition(lambda self: self.given_up)
    @rule(fill=FILLS, which=st.integers(0, 3))
    def found_late(self, fill: dict[str, Any], which: int) -> None:
        """The venue shows an order that was given up; it waits while another one is open.

        What it sold beyond what the bot still has were other coins of the account.
        """
        given_up = self.given_up[which % len(self.given_up)]
        order, before = replace(given_up, status=OrderStatus.ABSENT), self.state
        if self.order is not None:
            shown = VenueModel().execute(order, **self.how(fill), others=True)
            decision = self.tell(LateFound(order=order, outcome=shown, elsewhere=False, at=NOW))
            assert (decision.state, decision.trade, decision.intent) == (before, None, None)
            return
        self.given_up.remove(given_up)
        shown = self.venue.execute(order, **self.how(fill), others=True)
        decision = self.tell(LateFound(order=order, outcome=shown, elsewhere=False, at=NOW))
        assert decision.intent is None
        assert (decision.trade is not None) == bool(shown.fills)
        self.book(order, decision)

    @precondition(lambda self: self.order is None)
    @rule(first=FILLS, then=FILLS, prices=st.tuples(PRICES, PRICES), by_signal=st.booleans())
    def round_trip(
        self, first: dict[str, Any], then: dict[str, Any], prices: tuple[Decimal, Decimal], by_signal: bool
    ) -> None:
        """What a bot does all day: enter, be filled, leave, be filled."""
        self.evaluated(Signal.BUY, prices[0])
        if self.order is not None:
            self.executed(first)
        if by_signal:
            self.evaluated(Signal.SELL, prices[1])
        else:
            self.price_moved(prices[1], "plain")
        if self.order is not None:
            self.executed(then)

    def settle(self, outcome: Outcome) -> None:
        order, self.order = self.order, None
        before = self.state
        event = OutcomeArrived(order=order, outcome=outcome, at=NOW)
        decision = self.tell(event)
        self.orders_settled += 1
        again = decide(self.config, self.state, event, instrument=INSTRUMENT)
        assert (again.state, again.trade) == (self.state, None)
        if decision.trade is None:
            assert decision.state.current_position_size_coins == before.current_position_size_coins
            return
        self.book(order, decision)

    def book(self, order: Order, decision: Decision) -> None:
        """Keep the trade, if there is one; what a sale leaves of a position that is gone is dust."""
        if decision.trade is None:
            return
        self.trades.append(decision.trade)
        if not decision.state.in_position and order.side is Side.SELL:
            self.venue.dust = self.venue.coins

    # -- invariants --------------------------------------------------------------------------------

    @invariant()
    def books_equal_the_venues_cash(self) -> None:
        """Everything realised, less what is still invested, is the change of cash: to the last digit."""
        with localcontext(prec=80):
            realised = sum((trade.realised_pnl_quote for trade in self.trades), Decimal(0))
            assert realised - self.state.position_cost_quote == self.venue.cash

    @invariant()
    def ledger_equals_the_venues_coins(self) -> None:
        """What the bot holds is what the venue holds for it, but for dust that was booked off."""
        assert not self.venue.sold_too_much
        assert self.state.current_position_size_coins + self.venue.dust == self.venue.coins

    @invariant()
    def counters_are_those_of_their_day(self) -> None:
        """Counters are the trades of their day: each of them once, and none of another day."""
        mine = [trade for trade in self.trades if trade.executed_at.date() == self.state.trading_day]
        assert self.state.daily_trades_count == len(mine)
        with localcontext(prec=80):
            assert self.state.daily_pnl == sum((trade.realised_pnl_quote for trade in mine), Decimal(0))

    @invariant()
    def at_most_one_order_is_open(self) -> None:
        number = self.order.number if self.order is not None else None
        assert self.state.open_order_number == number
        assert self.state.orders_made == self.orders_settled + (self.order is not None)

    @invariant()
    def the_state_is_whole(self) -> None:
        state = self.state
        assert state.in_position == (state.current_position_size_coins > 0) == (state.entry_price is not None)
        assert state.position_cost_quote >= 0
        assert state.in_position or state.close_requested_at is None or state.open_order_number is not None
        assert state.in_position or state.position_cost_quote == 0
        assert state.is_active == (state.halted_by is not HaltedBy.OWNER)
        assert state.is_active or state.status == Status.STOPPED

    @invariant()
    def an_owners_stop_stands(self) -> None:
        """Once its owner has stopped a bot, nothing but its owner's start makes it active."""
        if self.stopped_by_owner:
            assert not self.state.is_active


TestMachineAgainstVenue = MachineAgainstVenue.TestCase
TestMachineAgainstVenue.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


@given(
    config=CONFIGS,
    trips=st.lists(st.tuples(FILLS, FILLS, st.tuples(PRICES, PRICES), st.booleans()), max_size=15),
)
def test_books_equal_the_venue_over_many_round_trips(config: BotConfig, trips: list[Any]) -> None:
    """However often a bot enters and leaves, in parts and with any fees, not one digit is lost."""
    life = MachineAgainstVenue()
    life.begin(config, prompt=True)
    for first, then, prices, by_signal in trips:
        life.round_trip(first, then, prices, by_signal)
        life.books_equal_the_venues_cash()
        life.ledger_equals_the_venues_coins()
        life.counters_are_those_of_their_day()
        life.the_state_is_whole()


@given(config=CONFIGS, fills=st.tuples(FILLS, FILLS, FILLS), prices=st.tuples(PRICES, PRICES, PRICES))
def test_books_balance_over_a_sale_that_is_found_after_the_next(
    config: BotConfig, fills: tuple[dict[str, Any], ...], prices: tuple[Decimal, ...]
) -> None:
    """An exit is given up, another one sells, and then the first turns up: only what was held is booked."""
    life = MachineAgainstVenue()
    life.begin(config, prompt=True)
    life.evaluated(Signal.BUY, prices[0])
    life.executed(fills[0])
    for is_given_up in (True, False):
        life.evaluated(Signal.SELL, prices[1])
        if life.order is not None and is_given_up:
            life.not_executed(Absent())
        elif life.order is not None:
            if life.given_up:
                life.found_late(fills[2], 0)  # It has to wait.
            life.executed(fills[1])
    life.price = prices[2]
    if life.given_up:
        life.found_late(fills[2], 0)
    life.books_equal_the_venues_cash()
    life.ledger_equals_the_venues_coins()
    life.counters_are_those_of_their_day()
    life.the_state_is_whole()
