"""Orders and answers as the venue's documentation shows them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from botwarden.exchange.port import Credentials
from botwarden.trading.bot import BotId
from botwarden.trading.orders import Order, Reason, Side

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
CREDENTIALS = Credentials(api_key=API_KEY, secret_key=SECRET)

CLIENT_ID = "bw-tag-1-1"


def an_order(
    *,
    side: Side = Side.BUY,
    quantity_base: Decimal | None = Decimal("0.5"),
    quantity_quote: Decimal | None = None,
    intended_at: datetime | None = None,
    client_order_id: str = CLIENT_ID,
) -> Order:
    """Return a committed market order, intended just now unless it is said otherwise."""
    now = datetime.now(UTC)
    return Order(
        bot_id=BotId(1),
        number=1,
        symbol="BTCUSDT",
        side=side,
        reason=Reason.SIGNAL,
        quantity_base=quantity_base,
        quantity_quote=quantity_quote,
        decided_price_quote=Decimal(100),
        client_order_id=client_order_id,
        intended_at=(intended_at or now) - timedelta(microseconds=(intended_at or now).microsecond % 1000),
    )


def full_answer(**changes: Any) -> dict[str, Any]:
    """Return the FULL answer of a filled market order."""
    return {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": CLIENT_ID,
        "transactTime": 1_767_614_400_123,
        "price": "0.00000000",
        "origQty": "0.50000000",
        "executedQty": "0.50000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "50.10000000",
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        "workingTime": 1_767_614_400_123,
        "selfTradePreventionMode": "NONE",
        "fills": [fill("100.0", "0.3", trade_id=56), fill("100.5", "0.2", trade_id=57)],
    } | changes


def fill(
    price: str, qty: str, *, trade_id: int, commission: str = "0.0001", asset: str = "BTC"
) -> dict[str, Any]:
    """Return one fill of a FULL answer."""
    return {
        "price": price,
        "qty": qty,
        "commission": commission,
        "commissionAsset": asset,
        "tradeId": trade_id,
    }


def order_record(**changes: Any) -> dict[str, Any]:
    """Return the record that GET order answers."""
    return {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": CLIENT_ID,
        "price": "0.0",
        "origQty": "0.5",
        "executedQty": "0.5",
        "origQuoteOrderQty": "0.000000",
        "cummulativeQuoteQty": "50.1",
        "status": "FILLED",
        "timeInForce": "GTC",
        "type": "MARKET",
        "side": "BUY",
        "stopPrice": "0.0",
        "icebergQty": "0.0",
        "time": 1_767_614_400_123,
        "updateTime": 1_767_614_400_123,
        "isWorking": True,
        "workingTime": 1_767_614_400_123,
        "selfTradePreventionMode": "NONE",
    } | changes


def trade_record(**changes: Any) -> dict[str, Any]:
    """Return an element of GET myTrades."""
    return {
        "symbol": "BTCUSDT",
        "id": 56,
        "orderId": 28,
        "orderListId": -1,
        "price": "100.0",
        "qty": "0.3",
        "quoteQty": "30.0",
        "commission": "0.03",
        "commissionAsset": "USDT",
        "time": 1_767_614_400_123,
        "isBuyer": False,
        "isMaker": False,
        "isBestMatch": True,
    } | changes


def symbol_info(**changes: Any) -> dict[str, Any]:
    """Return a symbol of GET exchangeInfo."""
    return {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "baseAsset": "BTC",
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.0", "maxQty": "120.5", "stepSize": "0.0"},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "applyMinToMarket": True, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissionSets": [["SPOT"]],
    } | changes


def exchange_info(*symbols: Any) -> dict[str, Any]:
    """Return GET exchangeInfo with these symbols."""
    return {
        "timezone": "UTC",
        "serverTime": 1_767_614_400_123,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
            {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
        ],
        "exchangeFilters": [],
        "symbols": list(symbols) or [symbol_info()],
    }
