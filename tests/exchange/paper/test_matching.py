"""What orders take from the book."""

from hypothesis import given
from hypothesis import strategies as st

from botwarden.exchange.paper.amounts import UNIT, cost, units
from botwarden.exchange.paper.book import Book, Level
from botwarden.exchange.paper.instruments import default_instruments
from botwarden.exchange.paper.matching import commission, crosses, take, take_quote, within

INSTRUMENTS = default_instruments()
BTC = INSTRUMENTS["BTCUSDT"]

BOOKS = st.builds(
    lambda name, share, sequence: Book(
        INSTRUMENTS[name],
        max(1, INSTRUMENTS[name].home_price * share // 100 // INSTRUMENTS[name].tick)
        * INSTRUMENTS[name].tick,
        sequence,
    ),
    st.sampled_from(sorted(INSTRUMENTS)),
    st.integers(min_value=1, max_value=500),
    st.integers(min_value=0, max_value=10**9),
)


@given(BOOKS)
def test_books_are_in_order_and_on_the_grid(book: Book) -> None:
    """Bids fall, asks rise, they do not cross, the last price touches one of them, all lies on the grid."""
    bids, asks = list(book.bids()), list(book.asks())
    rules = book.instrument
    assert [level.price for level in bids] == sorted({level.price for level in bids}, reverse=True)
    assert [level.price for level in asks] == sorted({level.price for level in asks})
    assert bids[0].price < asks[0].price or book.price == rules.tick
    assert book.price in (bids[0].price, asks[0].price)
    assert all(level.price % rules.tick == 0 and level.price > 0 for level in bids + asks)
    assert all(level.quantity % rules.step == 0 and level.quantity > 0 for level in bids + asks)


@given(BOOKS)
def test_the_same_moment_has_the_same_book(book: Book) -> None:
    """A book is a function of price and sequence."""
    again = Book(book.instrument, book.price, book.sequence)
    assert (list(again.bids()), list(again.asks())) == (list(book.bids()), list(book.asks()))


@given(BOOKS, st.integers(min_value=1, max_value=10**9))
def test_a_size_in_base_is_taken_from_the_best_on(book: Book, steps: int) -> None:
    """Fills add up to the size or to all there is, and never skip a better price."""
    size = steps * book.instrument.step
    asks = list(book.asks())
    takes = take(book.asks(), size)
    assert sum(fill.quantity for fill in takes) == min(size, sum(level.quantity for level in asks))
    for fill, level in zip(takes[:-1], asks, strict=False):
        assert fill == level
    assert takes[-1].quantity <= asks[len(takes) - 1].quantity


@given(BOOKS, st.integers(min_value=1, max_value=10**7))
def test_a_size_in_quote_is_never_overspent(book: Book, quote: int) -> None:
    """A size in quote buys whole steps, spends no more than asked and leaves less than one step's price."""
    budget = quote * UNIT // 100
    takes, enough = take_quote(book.asks(), budget, book.instrument.step)
    spent = sum(fill.quote for fill in takes)
    assert spent <= budget
    assert all(fill.quantity % book.instrument.step == 0 and fill.quantity > 0 for fill in takes)
    if enough:
        dearest = list(book.asks())[len(takes)].price if len(takes) < 100 else takes[-1].price
        assert budget - spent < cost(dearest, book.instrument.step) + 1
    else:
        assert len(takes) == 100


def test_an_ordinary_order_needs_several_levels() -> None:
    """A purchase of some ten thousand walks up the book, within half a per cent."""
    takes, enough = take_quote(Book(BTC, BTC.home_price, 3).asks(), units("50000"), BTC.step)
    assert enough
    assert 3 <= len(takes) <= 20
    assert takes[-1].price <= BTC.home_price * 1005 // 1000


def test_a_limit_hides_the_levels_behind_it() -> None:
    """A limit price allows its own level and the better ones."""
    levels = [Level(price, 1) for price in (10, 11, 12)]
    assert [level.price for level in within(levels, limit=11, is_buy=True)] == [10, 11]
    assert [level.price for level in within(levels[::-1], limit=11, is_buy=False)] == [12, 11]


def test_commission_is_a_thousandth_truncated() -> None:
    """The venue keeps 0.1 % of what is received, rounded down to eight decimals."""
    assert commission(units("0.05327")) == units("0.00005327")
    assert commission(units("0.00000999")) == 0
    assert commission(units("0.00019999")) == units("0.00000019")


def test_a_price_at_the_limit_fills() -> None:
    """A resting order is filled by a price at its limit or better."""
    assert crosses(is_buy=True, limit=10, price=10)
    assert not crosses(is_buy=True, limit=10, price=11)
    assert crosses(is_buy=False, limit=10, price=10)
    assert not crosses(is_buy=False, limit=10, price=9)
