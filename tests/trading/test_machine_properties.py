"""The machine against a small venue: whatever happens in whatever order, the invariants hold."""

from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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
    OutcomeArrived,
    PriceMoved,
    Recovered,
    Signal,
    StartRequested,
    StatePut,
    StopRequested,
    decide,
)
from botwarden.trading.orders import Absent, NeverSent, Order, Outcome, Rejected, Side, Trade, Unexplained
from tests.trading.examples import INSTRUMENT, NOW, TODAY, make_config, order_of, stopped
from tests.trading.venue_model import VenueModel

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
        self.dust = Decimal(0)
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
            assert intent.quantity_base <= self.venue.coins
        else:
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
        """The venue executes; the fee of a sale is in its proceeds or in BNB."""
        fee_in, lag = fill["fee_in"], fill["lag"]
        if self.order.side is Side.SELL and fee_in == "BTC":
            fee_in = "USDT"
        at = NOW + (self.day - TODAY) + timedelta(days=lag)
        price = self.price
        self.settle(self.venue.execute(self.order, parts=fill["parts"], price=price, fee_in=fee_in, at=at))

    @precondition(lambda self: self.order is not None)
    @rule(outcome=REFUSALS)
    def not_executed(self, outcome: Outcome) -> None:
        self.settle(outcome)

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
        self.trades.append(decision.trade)
        if not decision.state.in_position and order.side is Side.SELL:
            self.dust = self.venue.coins

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
        assert self.state.current_position_size_coins + self.dust == self.venue.coins

    @invariant()
    def counters_are_those_of_their_day(self) -> None:
        """Counters never hold a trade of another day, nor one twice."""
        mine = [trade for trade in self.trades if trade.executed_at.date() == self.state.trading_day]
        assert self.state.daily_trades_count <= len(mine)
        if self.state.daily_trades_count == len(mine):
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
