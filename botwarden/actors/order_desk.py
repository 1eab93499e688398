"""The desks: one for each API key, behind one door.

    bot ──Enroll/Send/Resolve/Look/LookUpFree──▶ desks ──▶ desk of the key ──spawns──▶ order
    bot ◀──DeskReady/DeskFailed/OrderSettled/FreeBalance/ListStirred──┘
                                                              venue ──news──▶ desk ──AskNow──▶ order

A desk owns the account's client. That it cannot be opened is a state of its bots, not a crash, and is
tried again; orders that arrive meanwhile are never sent, or wait to be asked about. News of the account's
orders makes those who wait ask sooner; nothing waits for news.
"""

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import anyio

from botwarden.actors.desk_mail import (
    DeskFailed,
    DeskKey,
    DeskMessage,
    DeskNotice,
    DeskReady,
    Enroll,
    Enrolled,
    FreeBalance,
    Leave,
    ListStirred,
    Look,
    LookUpFree,
    Resolve,
    Send,
)
from botwarden.actors.inboxes import WIDE
from botwarden.actors.order import (
    ORDER_INBOX,
    Addressee,
    AskNow,
    ListLookActor,
    OrderActor,
    OrderMessage,
    OrderSettled,
    SendOnce,
)
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Missing, Unavailable
from botwarden.exchange.errors import ClientFailed, UnreadableSecret
from botwarden.exchange.port import Account, NewsMissed, OrderNews
from botwarden.runtime import Actor, ChildSpec, Intensity, Next, Ref, Restart, Terminated
from botwarden.trading.bot import BotId, Status
from botwarden.trading.orders import NeverSent, Order, bot_of, names_list

#: A desk or an order actor is never given up: what it is for stays to be done.
NEVER_GIVE_UP = Intensity(restarts=1_000_000_000, within_s=60.0)

REOPEN_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class _Open:
    """Open the account, again."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Ask the venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """The venue told something of the account's orders."""

    news: OrderNews | NewsMissed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attended:
    """An order that is being attended to."""

    addressee: Addressee
    #: Set when the venue has told of it.
    told: anyio.Event
    attendant: Ref[OrderMessage]
    #: The ids by which news may mean it: its own, and that of the list that it takes off.
    ids: frozenset[str]


class OrderDeskActor(Actor[DeskMessage | _Open | _Heard]):
    """The desk of one API key."""

    children_stop_together = True

    def __init__(
        self, surroundings: Surroundings, key: DeskKey, enrolled: dict[BotId, Ref[DeskNotice]]
    ) -> None:
        self._surroundings = surroundings
        self._key = key
        #: Outlives this object, so that a restarted desk still knows whom to tell.
        self._enrolled = enrolled
        #: By the name of their actors.
        self._attended: dict[str, _Attended] = {}
        self._account: Account | None = None
        self._failure = DeskFailed(status=Status.ERROR_CLIENT, message="the exchange client is being opened")

    async def started(self) -> None:
        """Open the account; a failure is told to the bots and tried again."""
        await self._open()

    async def stopped(self) -> None:
        """Close the client."""
        if self._account is not None:
            await self._account.close()

    async def receive(self, message: DeskMessage | _Open | _Heard, /) -> None:
        """Serve one bot, pass news on, or try to open again."""
        match message:
            case _Open():
                await self._open()
            case _Heard(news=news):
                self._hear(news)
            case _:
                await self._serve(message)

    async def _serve(self, message: DeskMessage) -> None:
        match message:
            case Enroll(bot_id=bot_id, bot=bot):
                self._enrolled[bot_id] = bot
                bot.tell(self._notice())
            case Leave(bot_id=bot_id):
                self._enrolled.pop(bot_id, None)
            case Send():
                await self._send(message)
            case Resolve():
                await self._attend(message, SendOnce(granted=False))
            case Look(order=order, bot=bot):
                await self._look(order, bot)
            case LookUpFree():
                await self._look_up_free(message)

    async def _open(self) -> None:
        try:
            self._account = await self._surroundings.exchange.account(self._key.venue, self._key.api_key_id)
            self._account.listen(lambda news: self.context.ref.tell(_Heard(news=news)))
        except Missing as missing:
            self._fail(Status.ERROR_KEYS_MISSING, missing)
        except UnreadableSecret as unreadable:
            self._fail(Status.ERROR_KEY_DECRYPT, unreadable)
        except (ClientFailed, Unavailable) as failed:
            self._fail(Status.ERROR_CLIENT, failed)
        for bot in self._enrolled.values():
            bot.tell(self._notice())

    def _fail(self, status: Status, error: Exception) -> None:
        self._failure = DeskFailed(status=status, message=str(error))
        self.context.start_timer("open", _Open(), after_s=REOPEN_AFTER_S)

    def _notice(self) -> DeskReady | DeskFailed:
        return DeskReady() if self._account is not None else self._failure

    async def _send(self, wish: Send) -> None:
        if self._account is None:
            outcome = NeverSent(message=self._failure.message)
            wish.bot.tell(OrderSettled(order=wish.order, outcome=outcome))
        else:
            await self._attend(wish, SendOnce(granted=True))

    async def _attend(self, wish: Send | Resolve, permission: SendOnce) -> None:
        order, bot, listed = wish.order, wish.bot, wish.listed
        if self._account is None:
            # Whatever became of it can only be asked with the key: the bot's order stays open until then.
            self.context.start_timer(
                f"resolve:{order.client_order_id}",
                Resolve(desk=self._key, order=order, bot=bot, listed=listed),
                after_s=REOPEN_AFTER_S,
            )
            return
        account = self._account
        name = f"order:{order.client_order_id}"
        if self.context.has_child(name):
            # It is being attended to already. Who wants to know it now is the bot's newest actor.
            if isinstance(wish, Resolve):
                self._attended[name].addressee.bot = bot
            return
        addressee, told = Addressee(bot), anyio.Event()
        attendant = await self.context.spawn(
            ChildSpec(
                name=name,
                start=lambda: OrderActor(
                    order=order,
                    venue=self._key.venue,
                    account=account,
                    venue_clock=self._surroundings.exchange.market(self._key.venue).clock,
                    rules=self._surroundings.rules,
                    permission=permission,
                    addressee=addressee,
                    told=told,
                    listed=listed,
                ),
                restart=Restart.TRANSIENT,
                intensity=NEVER_GIVE_UP,
                stop_within_s=self._surroundings.rules.receive_window.total_seconds(),
                inbox=ORDER_INBOX,
                wait=False,
            )
        )
        ids = {order.client_order_id} | ({listed.client_order_id} if listed is not None else set())
        self._attended[name] = _Attended(
            addressee=addressee, told=told, attendant=attendant, ids=frozenset(ids)
        )
        self.context.watch(attendant)

    def _hear(self, news: OrderNews | NewsMissed) -> None:
        """Have those ask whom the news may be about."""
        if isinstance(news, NewsMissed):
            for attended in self._attended.values():
                attended.attendant.tell(AskNow())
            return
        meant = names_list(news.client_order_id)
        waiting = [attended for attended in self._attended.values() if meant in attended.ids]
        for attended in waiting:
            attended.told.set()
            attended.attendant.tell(AskNow())
        bot = self._enrolled.get(bot_of(meant, self._surroundings.tag) or BotId(0))
        if bot is not None and not waiting:
            bot.tell(ListStirred())

    async def terminated(self, death: Terminated) -> None:
        """Forget an order that has been attended to."""
        if not self.context.has_child(death.name):
            self._attended.pop(death.name, None)

    async def _look(self, order: Order, bot: Ref[DeskNotice]) -> None:
        account, name = self._account, f"look:{order.client_order_id}"
        if account is None or self.context.has_child(name):
            return
        await self.context.spawn(
            ChildSpec(
                name=name,
                start=lambda: ListLookActor(order=order, account=account, bot=bot),
                restart=Restart.TEMPORARY,
                wait=False,
            )
        )

    async def _look_up_free(self, wish: LookUpFree) -> None:
        account, name = self._account, f"free:{wish.bot.name}"
        if account is None or self.context.has_child(name):
            return
        await self.context.spawn(
            ChildSpec(
                name=name,
                start=lambda: FreeLookActor(asset=wish.asset, account=account, bot=wish.bot),
                restart=Restart.TEMPORARY,
                wait=False,
            )
        )


class FreeLookActor(Actor[_Look]):
    """Looks once how much of an asset the account has free; a slow answer holds up nobody else."""

    def __init__(self, *, asset: str, account: Account, bot: Ref[DeskNotice]) -> None:
        self._asset = asset
        self._account = account
        self._bot = bot

    async def started(self) -> None:
        """Look at once."""
        self.context.ref.tell(_Look())

    async def receive(self, _message: _Look, /) -> Next:
        """Look, tell, and be done: the bot asks again when the venue refuses again."""
        with suppress(Unavailable):
            balances = await self._account.balances()
            free = next((balance.free for balance in balances if balance.asset == self._asset), Decimal(0))
            self._bot.tell(FreeBalance(free_base=free))
        return Next.STOP


class DesksActor(Actor[DeskMessage]):
    """Finds the desk of a key, opening it at the first need."""

    children_stop_together = True

    def __init__(self, surroundings: Surroundings, enrolled: Enrolled) -> None:
        self._surroundings = surroundings
        self._enrolled = enrolled
        self._desks: dict[DeskKey, Ref[DeskMessage]] = {}

    async def started(self) -> None:
        """Open the desks of those who were enrolled before this actor crashed."""
        for key, bots in self._enrolled.items():
            if bots:
                self._desks[key] = await self._spawn(key)

    async def receive(self, message: DeskMessage, /) -> None:
        """Pass the message on."""
        desk = self._desks.get(message.desk)
        if desk is None:
            desk = self._desks[message.desk] = await self._spawn(message.desk)
        if not desk.tell(message) and isinstance(message, Send):
            outcome = NeverSent(message="the desk has too much mail")
            message.bot.tell(OrderSettled(order=message.order, outcome=outcome))

    async def _spawn(self, key: DeskKey) -> Ref[DeskMessage]:
        enrolled = self._enrolled.setdefault(key, {})
        return await self.context.spawn(
            ChildSpec(
                name=f"desk:{key.venue}:{key.api_key_id}",
                start=lambda: OrderDeskActor(self._surroundings, key, enrolled),
                restart=Restart.PERMANENT,
                intensity=NEVER_GIVE_UP,
                inbox=WIDE,
                wait=False,
            )
        )
