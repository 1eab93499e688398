"""Where the venues are: base URLs behind one adapter.

The only place that knows an address of Binance.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueUrls:
    """The doors of one venue, without a slash at the end."""

    #: REST, including `/api`.
    rest: str
    #: Market streams; `/stream` is put behind it.
    stream: str
    #: WebSocket API, including its path. Only for user data, never for orders; empty: there is none.
    ws_api: str = ""
    #: Whether bars begin and end by the wall clock; a market that is replayed or sped up has its own time.
    follows_wall_clock: bool = False
    #: A stream that always speaks, so that markets without trades are not taken for a dead connection.
    pulse: str | None = None


#: Source: Binance spot test network, general information.
TESTNET = VenueUrls(
    rest="https://testnet.binance.vision/api",
    stream="wss://stream.testnet.binance.vision",
    ws_api="wss://ws-api.testnet.binance.vision/ws-api/v3",
    follows_wall_clock=True,
    pulse="btcusdt@miniTicker",
)

#: Source: Binance spot API, general information (REST, WebSocket streams, WebSocket API).
LIVE = VenueUrls(
    rest="https://api.binance.com/api",
    stream="wss://stream.binance.com:9443",
    ws_api="wss://ws-api.binance.com:443/ws-api/v3",
    follows_wall_clock=True,
    pulse="btcusdt@miniTicker",
)


def paper_urls(origin: str) -> VenueUrls:
    """Return the doors of a paper exchange at this origin, such as `http://127.0.0.1:7070`."""
    websocket = origin.rstrip("/").replace("http", "ws", 1)
    return VenueUrls(
        rest=origin.rstrip("/") + "/api",
        stream=websocket,
        ws_api=websocket + "/ws-api/v3",
    )
