"""What can be traded: the default symbols, and rules for symbols that come with replayed data.

The invariant: a price times a size never has more than eight decimals, so that no money is rounded away.
"""

import math
from typing import Any, NamedTuple

from botwarden.exchange.paper.amounts import DECIMALS, UNIT, decimals_of, text, units
from botwarden.exchange.paper.order_types import ORDER_TYPES


class PaperInstrument(NamedTuple):
    """One symbol and its trading rules; amounts in units."""

    symbol: str
    base: str
    quote: str
    tick: int
    step: int
    min_notional: int
    #: Where the synthetic market's price keeps returning to.
    home_price: int
    #: Relative size of a minute's move.
    volatility: float
    #: Traded per day, in whole units of quote.
    daily_quote: int
    status: str = "TRADING"
    #: The most of the base asset that an account may hold or be buying; zero: no limit.
    max_position: int = 0

    @property
    def min_quantity(self) -> int:
        """The smallest order."""
        return self.step

    @property
    def max_quantity(self) -> int:
        """The largest limit order."""
        return 9_000_000_000 * UNIT if self.step >= UNIT else 9_000 * self.step * 10**5

    @property
    def max_market_quantity(self) -> int:
        """The largest market order."""
        return self.max_quantity // 50 // self.step * self.step

    @property
    def max_price(self) -> int:
        """The highest price of an order."""
        return 100 * self.home_price // self.tick * self.tick


#: How often prices may move away from the last one. Source: PERCENT_PRICE_BY_SIDE of the venue's main pairs.
PRICE_BAND_UP, PRICE_BAND_DOWN = 5, 5  # multiplier, and one over multiplier

MAX_OPEN_ORDERS = 200
MAX_OPEN_STOPS = 5
MAX_OPEN_LISTS = 20
MAX_OPEN_ICEBERGS = 5
MAX_ICEBERG_PARTS = 100

#: On all symbols together.
EXCHANGE_MAX_ORDERS = 1000
EXCHANGE_MAX_STOPS = 200
EXCHANGE_MAX_LISTS = 200

#: The most that an order with a limit may be worth.
MAX_NOTIONAL = 9_000_000 * UNIT

_KNOWN_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "EUR", "TRY", "BRL", "BTC", "ETH", "BNB")

# symbol, price, tick, step, move per minute, traded per day in quote
_DEFAULTS = """
BTCUSDT   64000     0.01      0.00001  0.00055  1800000000
ETHUSDT   3200      0.01      0.0001   0.00070  1100000000
BNBUSDT   580       0.01      0.001    0.00060  200000000
SOLUSDT   150       0.01      0.001    0.00095  500000000
XRPUSDT   0.60      0.0001    0.1      0.00090  250000000
DOGEUSDT  0.15      0.00001   1        0.00105  200000000
ADAUSDT   0.45      0.0001    0.1      0.00095  80000000
LTCUSDT   85        0.01      0.001    0.00085  60000000
TRXUSDT   0.13      0.0001    0.1      0.00055  60000000
LINKUSDT  14.5      0.01      0.01     0.00095  60000000
AVAXUSDT  28        0.01      0.01     0.00105  60000000
DOTUSDT   6.2       0.001     0.01     0.00095  40000000
POLUSDT   0.65      0.0001    0.1      0.00105  40000000
BCHUSDT   380       0.1       0.001    0.00095  40000000
NEARUSDT  5.4       0.001     0.1      0.00115  40000000
UNIUSDT   8.1       0.001     0.01     0.00110  30000000
ATOMUSDT  7.3       0.001     0.01     0.00100  30000000
ETCUSDT   24        0.01      0.01     0.00095  25000000
FILUSDT   4.6       0.001     0.01     0.00110  25000000
APTUSDT   9.2       0.001     0.01     0.00115  25000000
"""


def default_instruments() -> dict[str, PaperInstrument]:
    """Return the symbols of the synthetic market."""
    made = {}
    for line in _DEFAULTS.split("\n"):
        if not line:
            continue
        symbol, price, tick, step, volatility, daily = line.split()
        base, quote = split_symbol(symbol)
        made[symbol] = PaperInstrument(
            symbol=symbol,
            base=base,
            quote=quote,
            tick=units(tick),
            step=units(step),
            min_notional=_min_notional(quote),
            home_price=units(price),
            volatility=float(volatility),
            daily_quote=int(daily),
        )
    return made


def derived_instrument(
    symbol: str, *, price: int, decimals: int, volatility: float, daily_quote: int
) -> PaperInstrument:
    """Return reasonable rules for a symbol of which only prices are known.

    The tick comes from the decimals of the prices; a step is worth about one unit of quote at most.
    """
    base, quote = split_symbol(symbol)
    step_decimals = max(0, min(DECIMALS - decimals, math.ceil(math.log10(price / UNIT))))
    if quote == "BTC":
        step_decimals = min(DECIMALS - decimals, 4)
    return PaperInstrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=10 ** (DECIMALS - decimals),
        step=10 ** (DECIMALS - step_decimals),
        min_notional=_min_notional(quote),
        home_price=price,
        volatility=volatility,
        daily_quote=daily_quote,
    )


def split_symbol(symbol: str) -> tuple[str, str]:
    """Return base and quote asset of a symbol such as BTCUSDT."""
    for quote in _KNOWN_QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    half = (len(symbol) + 1) // 2
    return symbol[:half], symbol[half:]


def _min_notional(quote: str) -> int:
    return UNIT // 10_000 if quote in ("BTC", "ETH", "BNB") else 5 * UNIT


def filters(instrument: PaperInstrument) -> list[dict[str, Any]]:
    """Return the symbol's filters as exchangeInfo shows them."""
    shown: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text(instrument.tick),
            "maxPrice": text(instrument.max_price),
            "tickSize": text(instrument.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text(instrument.min_quantity),
            "maxQty": text(instrument.max_quantity),
            "stepSize": text(instrument.step),
        },
        {"filterType": "ICEBERG_PARTS", "limit": MAX_ICEBERG_PARTS},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": text(instrument.max_market_quantity),
            "stepSize": "0.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": str(PRICE_BAND_UP),
            "bidMultiplierDown": f"{1 / PRICE_BAND_DOWN:g}",
            "askMultiplierUp": str(PRICE_BAND_UP),
            "askMultiplierDown": f"{1 / PRICE_BAND_DOWN:g}",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": text(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": MAX_OPEN_STOPS},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": MAX_OPEN_LISTS},
        {"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": MAX_OPEN_ICEBERGS},
    ]
    if instrument.max_position:
        shown.append({"filterType": "MAX_POSITION", "maxPosition": text(instrument.max_position)})
    return shown


def exchange_filters() -> list[dict[str, Any]]:
    """Return the filters of all symbols together, as exchangeInfo shows them."""
    return [
        {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": EXCHANGE_MAX_ORDERS},
        {"filterType": "EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": EXCHANGE_MAX_STOPS},
        {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": EXCHANGE_MAX_LISTS},
    ]


def description(instrument: PaperInstrument, status: str) -> dict[str, Any]:
    """Return the symbol as exchangeInfo shows it. Source: Binance spot API, exchange information."""
    return {
        "symbol": instrument.symbol,
        "status": status,
        "baseAsset": instrument.base,
        "baseAssetPrecision": DECIMALS,
        "quoteAsset": instrument.quote,
        "quotePrecision": DECIMALS,
        "quoteAssetPrecision": DECIMALS,
        "baseCommissionPrecision": DECIMALS,
        "quoteCommissionPrecision": DECIMALS,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters(instrument),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def price_decimals(instrument: PaperInstrument) -> int:
    """Return how many decimals a price has."""
    return decimals_of(instrument.tick)
