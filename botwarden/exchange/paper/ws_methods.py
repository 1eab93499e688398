"""What can be asked on the WebSocket API: each method and the REST endpoint whose twin it is.

Source: Binance spot API, WebSocket API, general, market data, trading and account requests.
"""

from botwarden.exchange.paper import rest_account, rest_lists, rest_market, rest_tickers, rest_trade
from botwarden.exchange.paper.calls import Endpoint

_REST = {
    **rest_market.ENDPOINTS,
    **rest_tickers.ENDPOINTS,
    **rest_account.ENDPOINTS,
    **rest_trade.ENDPOINTS,
    **rest_lists.ENDPOINTS,
}

_TWINS = {
    "ping": "GET ping",
    "time": "GET time",
    "exchangeInfo": "GET exchangeInfo",
    "depth": "GET depth",
    "trades.recent": "GET trades",
    "trades.historical": "GET historicalTrades",
    "trades.aggregate": "GET aggTrades",
    "klines": "GET klines",
    "uiKlines": "GET uiKlines",
    "avgPrice": "GET avgPrice",
    "ticker": "GET ticker",
    "ticker.24hr": "GET ticker/24hr",
    "ticker.tradingDay": "GET ticker/tradingDay",
    "ticker.price": "GET ticker/price",
    "ticker.book": "GET ticker/bookTicker",
    "order.place": "POST order",
    "order.test": "POST order/test",
    "order.status": "GET order",
    "order.cancel": "DELETE order",
    "order.cancelReplace": "POST order/cancelReplace",
    "openOrders.status": "GET openOrders",
    "openOrders.cancelAll": "DELETE openOrders",
    "allOrders": "GET allOrders",
    "orderList.place": "POST order/oco",
    "orderList.place.oco": "POST orderList/oco",
    "orderList.status": "GET orderList",
    "orderList.cancel": "DELETE orderList",
    "openOrderLists.status": "GET openOrderList",
    "allOrderLists": "GET allOrderList",
    "myTrades": "GET myTrades",
    "account.status": "GET account",
    "account.commission": "GET account/commission",
    "account.rateLimits.orders": "GET rateLimit/order",
}


def _endpoint(twin: str) -> Endpoint:
    method, path = twin.split(" ")
    return _REST[method, path]


METHODS = {name: _endpoint(twin) for name, twin in _TWINS.items()}
