"""The desk of a key: it opens when it can, attends to each order once, and is never given up."""

from decimal import Decimal

import pytest
from sqlalchemy import text

from botwarden.actors.bots import Drop, Take
from botwarden.actors.desk_mail import DeskKey, DeskNotice, Enroll, FreeBalance, LookUpFree, Resolve, Send
from botwarden.runtime import Actor, ChildSpec
from botwarden.trading.bot import BotId, Status, Venue
from botwarden.trading.decisions import CloseRequested, Signal
from botwarden.trading.orders import NeverSent
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House, is_open, is_settled

pytestmark = pytest.mark.anyio


class Newcomer(Actor[DeskNotice]):
    """One of many bots that come at once."""

    def __init__(self, heard: list[DeskNotice]) -> None:
        self._heard = heard

    async def receive(self, notice: DeskNotice, /) -> None:
        self._heard.append(notice)


def desk_of(house: House) -> DeskKey:
    return DeskKey(venue=Venue.PAPER, api_key_id=house.api_key_id)


async def spoil(house: House) -> bytes:
    """Make the stored secret unreadable; return what it was."""
    async with house.database.begin() as tx:
        sealed = (await tx.execute(text("SELECT sealed FROM api_keys"))).scalar_one()
        await tx.execute(text("UPDATE api_keys SET sealed = 'spoilt'"))
    return sealed


async def mend(house: House, sealed: bytes) -> None:
    """Put the secret back."""
    async with house.database.begin() as tx:
        await tx.execute(text("UPDATE api_keys SET sealed = :sealed"), {"sealed": sealed})


async def test_a_secret_that_cannot_be_opened_is_a_state(house):
    """A bot whose key cannot be opened says so, and runs by itself once it can."""
    life = await house.begin()
    sealed = await spoil(house)
    bot = await house.starting(life)
    await house.until(bot, lambda state: state.status == Status.ERROR_KEY_DECRYPT, passing=True)
    life.signal(bot, Signal.BUY)
    await house.pass_time(1)
    assert (await house.state(bot)).orders_made == 0
    await mend(house, sealed)
    state = await house.until(bot, lambda state: state.status == Status.RUNNING, passing=True)
    assert state.last_error_message is None
    assert not life.crashes


async def test_an_order_for_a_closed_desk_is_never_sent(house):
    """What a desk without its account is given to send is never sent, and told so."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(Step.SENDING)
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_open)
    order = await house.open_order(bot)
    await life.crash()
    await spoil(house)
    following = await house.begin()
    probe = await following.stage.probe()
    following.colleagues.desks.tell(Send(desk=desk_of(house), order=order, bot=probe.ref))
    assert isinstance((await probe.next()).outcome, NeverSent)
    assert not following.doors.placed


async def test_an_open_order_waits_for_its_desk(house):
    """An open order whose key cannot be opened stays open, and is asked about once it can."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await life.crash()
    sealed = await spoil(house)
    following = await house.begin()
    await house.pass_time(15)
    assert is_open(await house.state(bot))
    await mend(house, sealed)
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position
    assert not following.doors.placed
    await house.check_books(following)


async def test_an_order_has_one_actor(house):
    """An order that is being attended to is not attended to twice, however often it is brought up."""
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(name="held", held=True)
    life.signal(bot, Signal.BUY)
    await fault.reached("caught", 1)
    order = await house.open_order(bot)
    probe = await life.stage.probe()
    for message in (Send, Resolve, Send):
        life.colleagues.desks.tell(message(desk=desk_of(house), order=order, bot=life.bot(bot)))
    life.colleagues.desks.tell(Enroll(desk=desk_of(house), bot_id=bot.config.id, bot=probe.ref))
    await probe.next()
    desk = life.actor(f"desk:paper:{house.api_key_id}")
    assert [child.name for child in desk.children] == [f"order:{order.client_order_id}"]
    house.world.venue.faults.clear("held")
    await house.until(bot, is_settled(1))
    assert len(life.doors.placed) == len(await house.venue_orders(life)) == 1
    await house.check_books(life)


@pytest.mark.parametrize("place", [Step.SENDING, Step.ANSWERED], ids=str)
async def test_a_desk_that_crashes_asks(house, place):
    """A desk that crashes takes its orders' actors along; the next one asks, and sends nothing again."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(place)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    # No ref to answer: a bug.
    life.colleagues.desks.tell(LookUpFree(desk=desk_of(house), asset="BTC", bot=None))
    name = f"desk:paper:{house.api_key_id}"
    await house.once(lambda: life.actor(name).restarts, passing=True)
    await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == [
        "absent" if place is Step.SENDING else "filled"
    ]
    assert len(life.doors.placed) == 1
    await house.check_books(life)
    life.signal(bot, Signal.BUY if place is Step.SENDING else Signal.SELL)
    await house.until(bot, is_settled(2), passing=True)
    assert [crash.name for crash in life.crashes] == [name]


async def test_whoever_was_enrolled_hears_of_the_desk_after_all_desks_crashed(house):
    """The actor that finds desks takes them all along when it crashes; they open for the same bots."""
    life = await house.begin()
    bot = await house.running(life)
    before = life.actor(f"desk:paper:{house.api_key_id}")
    # No key to find a desk by: a bug.
    life.colleagues.desks.tell(None)
    await house.once(lambda: life.actor("desks").restarts, passing=True)
    await house.once(lambda: life.actor(f"desk:paper:{house.api_key_id}") not in (None, before), passing=True)
    house.world.fault(on="POST order", executes="yes", answer="reset")
    life.signal(bot, Signal.BUY)
    # News of the order, which only a desk that knows the bot passes on, settles it while time stands still.
    await house.until(bot, is_settled(1))
    await house.check_books(life)


async def test_a_sale_never_exceeds_what_is_free(house):
    """An exit that the venue refuses for want of coins is repeated with what the account has free."""
    life = await house.begin()
    bot = await house.holding(life)
    held = (await house.state(bot)).current_position_size_coins
    await house.world.admin.change_balance(house.api_key, "BTC", "-0.0005")
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, lambda state: state.daily_trades_count == 2, passing=True)
    orders = await house.orders(bot)
    assert [order.status for order in orders] == ["filled", "rejected", "filled"]
    assert orders[1].quantity_base == held.quantize(Decimal("0.00001"), rounding="ROUND_DOWN")
    assert orders[2].quantity_base < held - Decimal("0.0005") + Decimal("0.00001")
    assert state.current_position_size_coins == held - orders[2].quantity_base
    await house.check_books(life, short=["BTC"], BTC="-0.0005")


async def test_a_close_request_is_carried_out_once(house):
    """A close request sells at the next price, stops the bot, and is done with."""
    life = await house.begin()
    bot = await house.holding(life)
    await house.obey(life, bot, CloseRequested(at=house.world.clock.now()))
    state = await house.until(bot, is_settled(2), passing=True)
    assert (state.status, state.close_requested_at, state.in_position) == (Status.STOPPED, None, False)
    assert [order.reason for order in await house.orders(bot)] == ["signal", "close_requested"]
    await house.check_books(life)


async def test_exits_that_cannot_be_sent_are_repeated_in_peace(house):
    """While a key cannot be opened, an exit is intended at once, once more, and then once a second."""
    life = await house.begin()
    bot = await house.holding(life)
    await life.crash()
    sealed = await spoil(house)
    following = await house.begin()
    await house.once(lambda: following.watches(bot))
    house.world.say(CRASHED_PRICE)
    await house.pass_time(3)
    assert 2 <= (await house.state(bot)).orders_made - 1 <= 6
    await mend(house, sealed)
    state = await house.until(bot, lambda state: not state.in_position, passing=True)
    assert [order.status for order in await house.orders(bot)][-1] == "filled"
    assert len(await house.venue_orders(following)) == 2
    assert not is_open(state)
    await house.check_books(following)


async def test_a_slow_look_at_the_account_holds_up_no_order(house):
    """While the venue takes its time over the balances, orders of the same key are sent and settled."""
    life = await house.begin()
    bot = await house.running(life)
    slow = house.world.fault(on="GET account", held=True, name="slow")
    probe = await life.stage.probe()
    life.colleagues.desks.tell(LookUpFree(desk=desk_of(house), asset="BTC", bot=probe.ref))
    await slow.reached("caught", 1)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1))
    assert state.in_position
    assert not probe.received
    house.world.venue.faults.clear("slow")
    assert isinstance(await probe.next(), FreeBalance)


async def test_the_newest_actor_of_a_bot_hears_how_its_order_ended(house):
    """A bot's actor that comes while its order is under way is told at once, not the one that is gone."""
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(name="held", held=True)
    life.signal(bot, Signal.BUY)
    await fault.reached("caught", 1)
    gone = life.bot(bot)
    life.bots.tell(Drop(slots=life.standing.slots, reply=None))
    life.bots.tell(Take(slots=life.standing.slots))
    await house.once(lambda: life.bot(bot) is not gone)
    # Behind what the new actor has asked its desk for.
    probe = await life.stage.probe()
    life.colleagues.desks.tell(Enroll(desk=desk_of(house), bot_id=BotId(0), bot=probe.ref))
    await probe.next()
    house.world.venue.faults.clear("held")
    state = await house.until(bot, is_settled(1))
    assert state.in_position
    assert len(life.doors.placed) == 1
    await house.check_books(life)


async def test_no_bot_is_turned_away(house):
    """However many bots come at once, each is told how the desk stands."""
    life = await house.begin()
    await house.running(life)
    heard: list[DeskNotice] = []
    refs = [
        await life.stage.system.spawn(ChildSpec(f"newcomer:{number}", lambda: Newcomer(heard)))
        for number in range(3000)
    ]
    for number, ref in enumerate(refs):
        enroll = Enroll(desk=desk_of(house), bot_id=BotId(10_000 + number), bot=ref)
        assert life.colleagues.desks.tell(enroll)
    await house.once(lambda: len(heard) == 3000)
