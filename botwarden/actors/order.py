"""One committed order on its way to being settled.

    desk ──spawns──▶ order ──place, once──▶ venue
                       │  ◀──outcome─────────┘
                       │  ──find, fills, …──▶ venue     (unknown outcomes are asked about)
                       └──OrderSettled──▶ bot

The request leaves at most once in the life of the order: the permission to send (`SendOnce`) is taken
before the first byte and is gone for good, also when this actor crashes and is started again. A fresh
process, or another replica, never has it: for them every open order is unknown. What is sent and what is
asked is the order's errand (`actors.errand`).
"""

from dataclasses import dataclass
from datetime import datetime

import anyio

from botwarden.actors.errand import ListErrand, errand_of
from botwarden.actors.surroundings import Rules
from botwarden.errors import Unavailable
from botwarden.exchange.port import Account, NotFound, Unknown, VenueClock
from botwarden.runtime import Actor, InboxSpec, Next, Ref
from botwarden.trading.bot import Venue
from botwarden.trading.orders import ListEnded, NeverSent, Order, Outcome, Unexplained

#: Absence is seen twice, this far apart.
SECOND_LOOK_S = 2.0

LONGEST_PAUSE_S = 8.0

#: How long the answer may take once the venue has told of the order in another way.
ANSWER_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettled:
    """How the order ended, for its bot to commit."""

    order: Order
    outcome: Outcome


class Addressee:
    """Who is told how an order ended: its bot's newest actor, also when that was another one at first."""

    def __init__(self, bot: Ref[OrderSettled]) -> None:
        self.bot = bot


class SendOnce:
    """The permission to send one order: it can be taken once."""

    def __init__(self, *, granted: bool) -> None:
        self._granted = granted

    def take(self) -> bool:
        """Return whether the order may be sent now; from then on it never may."""
        granted, self._granted = self._granted, False
        return granted


@dataclass(frozen=True, slots=True)
class _Begin:
    """Send, or ask if it may have been sent."""


@dataclass(frozen=True, slots=True)
class _Ask:
    """Ask the venue what became of it."""


@dataclass(frozen=True, slots=True)
class AskNow:
    """The venue has told that something became of the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """Tell the bot, again if its inbox was full."""

    outcome: Outcome


OrderMessage = _Begin | _Ask | AskNow | _Report

#: However much news there is while an order is asked about, it is asked about once more.
ORDER_INBOX: InboxSpec[OrderMessage] = InboxSpec(
    newest_per=lambda message: "now" if isinstance(message, AskNow) else None
)


class OrderActor(Actor[OrderMessage]):
    """Sends one order at most once and finds out how it ended."""

    def __init__(
        self,
        *,
        order: Order,
        venue: Venue,
        account: Account,
        venue_clock: VenueClock,
        rules: Rules,
        permission: SendOnce,
        addressee: Addressee,
        told: anyio.Event,
        listed: Order | None = None,
    ) -> None:
        self._order = order
        self._venue = venue
        self._errand = errand_of(order, listed, account)
        self._clock = venue_clock
        self._rules = rules
        self._permission = permission
        self._addressee = addressee
        #: Set when the venue has told of the order in another way than by its answer.
        self._told = told
        self._pause_s = 0.25
        self._times_missed = 0

    async def started(self) -> None:
        """Begin at once."""
        self.context.ref.tell(_Begin())

    async def receive(self, message: OrderMessage, /) -> Next:
        """Take the next step; stop once the bot has the outcome."""
        match message:
            case _Begin():
                outcome = await self._begin()
            case _Ask():
                outcome = await self._ask()
            case AskNow():
                outcome = await self._ask_now()
            case _Report(outcome=known):
                outcome = known
        if outcome is None:
            return Next.CONTINUE
        bot = self._addressee.bot
        if bot.tell(OrderSettled(order=self._order, outcome=outcome)) or not bot.is_alive:
            return Next.STOP
        self.context.start_timer("report", _Report(outcome=outcome), after_s=0.1)
        return Next.CONTINUE

    async def _begin(self) -> Outcome | None:
        if not self._permission.take():
            return await self._ask()
        late_by = self._clock.now() - self._order.intended_at
        if late_by > self._rules.receive_window / 2:
            return NeverSent(message=f"not begun within {self._rules.receive_window / 2} of the decision")
        outcome = await self._send()
        if not isinstance(outcome, Unknown):
            return outcome
        self._ask_later(self._pause_s)
        return None

    async def _send(self) -> Outcome | Unknown:
        """Send; give an answer up that does not follow the venue's word of the order."""
        outcome: Outcome | Unknown = Unknown(message="the venue told of the order and did not answer")
        async with anyio.create_task_group() as group:
            group.start_soon(self._lose_patience, group.cancel_scope)
            outcome = await self._errand.send()
            group.cancel_scope.cancel()
        return outcome

    async def _lose_patience(self, answer: anyio.CancelScope) -> None:
        await self._told.wait()
        await self.context.clock.sleep(ANSWER_GRACE_S)
        answer.cancel()

    async def _ask_now(self) -> Outcome | None:
        """Look once more than usual. What is not found proves nothing: absence is for the usual looks."""
        try:
            found = await self._errand.find()
        except Unavailable:
            return None
        if isinstance(found, NotFound):
            return None
        self._times_missed = 0
        return found

    async def _ask(self) -> Outcome | None:
        try:
            outcome = await self._look()
        except Unavailable:
            outcome = None
        if outcome is None:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._ask_later(SECOND_LOOK_S if self._times_missed else self._pause_s)
        return outcome

    def _ask_later(self, after_s: float) -> None:
        self.context.start_timer("ask", _Ask(), after_s=after_s)

    async def _look(self) -> Outcome | None:
        """Return how the order ended, or nothing yet."""
        # The venue's own answer must lie beyond the window before we look, or a late copy could still come.
        too_late_for_copies = await self._clock.ask() > self._deadline()
        found = await self._errand.find()
        if not isinstance(found, NotFound):
            self._times_missed = 0
            return found
        if not too_late_for_copies or await self._errand.is_listed():
            return None
        self._times_missed += 1
        return self._errand.absent() if self._times_missed >= 2 else None

    def _deadline(self) -> datetime:
        return self._order.intended_at + self._rules.receive_window + self._rules.absence_margin[self._venue]


class ListLookActor(Actor[_Ask]):
    """Looks once whether a resting list still rests; its bot hears of it only if not."""

    def __init__(self, *, order: Order, account: Account, bot: Ref[OrderSettled]) -> None:
        self._order = order
        self._errand = ListErrand(order, account, urgent=False)
        self._bot = bot

    async def started(self) -> None:
        """Look at once."""
        self.context.ref.tell(_Ask())

    async def receive(self, _message: _Ask, /) -> Next:
        """Look, tell, and be done: who gets no answer looks again with the next round."""
        try:
            found = await self._errand.find()
        except Unavailable:
            return Next.STOP
        if isinstance(found, ListEnded | Unexplained):
            self._bot.tell(OrderSettled(order=self._order, outcome=found))
        return Next.STOP
