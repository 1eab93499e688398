"""How a paper exchange is set up."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

MarketKind = Literal["synthetic", "replay", "live"]

#: Market data without keys. Source: Binance spot API, market data only.
LIVE_URL = "https://data-api.binance.vision"
LIVE_STREAM_URL = "wss://data-stream.binance.vision"

#: What a new account holds, in whole coins.
STARTING_BALANCES = {"USDT": "100000", "BTC": "0", "ETH": "0", "BNB": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperOptions:
    """One paper exchange."""

    host: str = "127.0.0.1"
    #: 0: a free one; `on_ready` tells which.
    port: int = 0
    #: The file of its own store; made when absent.
    store: Path
    market: MarketKind = "synthetic"
    #: Kline files or folders of them.
    replay: list[Path] = field(default_factory=list)
    #: The public market that a live one follows: REST and streams.
    live_url: str = LIVE_URL
    live_stream_url: str = LIVE_STREAM_URL
    #: How much faster than the clock candles and prices run.
    speed: float = 1.0
    #: None: the first start draws one and the market begins now; given: the market begins at a fixed
    #: moment of its own and repeats exactly.
    seed: int | None = None
    #: Empty: all that the source knows.
    symbols: list[str] = field(default_factory=list)
    #: Empty: the admin endpoints are shut.
    admin_token: str = ""
    starting_balances: dict[str, str] = field(default_factory=lambda: dict(STARTING_BALANCES))
    #: Request weight per minute and address.
    weight_limit: int = 6000
    #: Websockets per five minutes and address, for streams and for the WebSocket API.
    connection_limit: int = 300
    #: Window in seconds → unfilled orders per account.
    order_limits: dict[int, int] = field(default_factory=lambda: {10: 100, 86_400: 200_000})
