"""Which bots a price wakes."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from botwarden.actors.thresholds import ThresholdBook
from botwarden.trading.bot import BotId
from botwarden.trading.guard import Thresholds

PRICES = st.integers(1, 5).map(Decimal)
THRESHOLDS = st.builds(
    Thresholds,
    sell_at_or_below=st.none() | PRICES,
    sell_at_or_above=st.none() | PRICES,
    new_high_above=st.none() | PRICES,
    always=st.booleans(),
)


def is_touched(thresholds: Thresholds, price: Decimal) -> bool:
    """Return the same by comparing one by one."""
    below, above, high = thresholds.sell_at_or_below, thresholds.sell_at_or_above, thresholds.new_high_above
    return (
        thresholds.always
        or (below is not None and price <= below)
        or (above is not None and price >= above)
        or (high is not None and price > high)
    )


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 3), THRESHOLDS) | st.integers(1, 3) | PRICES.map(lambda price: [price]),
        max_size=60,
    )
)
def test_a_price_wakes_exactly_those_whose_thresholds_it_touches(steps):
    """The ordered book wakes whom a search through all would wake, each once per arming."""
    book = ThresholdBook()
    armed: dict[BotId, Thresholds] = {}
    for step in steps:
        match step:
            case (bot_id, thresholds):
                book.arm(BotId(bot_id), thresholds)
                armed[BotId(bot_id)] = thresholds
            case [price]:
                expected = {bot_id for bot_id, wish in armed.items() if is_touched(wish, price)}
                woken = book.touched(price)

                assert sorted(woken) == sorted(expected)
                for bot_id in expected:
                    del armed[bot_id]
            case bot_id:
                book.disarm(BotId(bot_id))
                armed.pop(BotId(bot_id), None)
    assert len(book) == len(armed)
    exits = [wish for wish in armed.values() if wish.sell_at_or_below or wish.sell_at_or_above]
    assert book.guarded == len(exits)


def test_the_book_stays_as_small_as_its_bots():
    """Bots that arm themselves again for ever leave nothing behind, and are still woken."""
    book = ThresholdBook()
    for arming in range(20_000):
        price = Decimal(100 + arming % 7)
        wish = Thresholds(sell_at_or_below=Decimal(50), sell_at_or_above=price, new_high_above=price)
        book.arm(BotId(arming % 10), wish)
    assert book.entries <= 200
    assert sorted(book.touched(Decimal(49))) == list(range(10))
    assert book.touched(Decimal(1000)) == []
