"""One paper exchange, put together: its clock, market, engine, store and limits."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import anyio.lowlevel
import anyio.to_thread
import structlog

from botwarden.exchange.paper import changes
from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.engine import Engine
from botwarden.exchange.paper.fault_clock import ShiftedClock
from botwarden.exchange.paper.fault_plan import FaultPlan
from botwarden.exchange.paper.instruments import PaperInstrument, default_instruments
from botwarden.exchange.paper.limits import ConnectionLimit, OrderLimit, WeightLimit
from botwarden.exchange.paper.live import Follower, open_live
from botwarden.exchange.paper.market import Market, Trade
from botwarden.exchange.paper.options import PaperOptions
from botwarden.exchange.paper.replay import ReplaySource
from botwarden.exchange.paper.source import Source, SourceError
from botwarden.exchange.paper.store import Store
from botwarden.exchange.paper.streams import StreamHub
from botwarden.exchange.paper.synthetic import ORIGIN_MS, SyntheticSource
from botwarden.exchange.paper.times import MarketClock, ServerClock

#: How often the position is written.
POSITION_EVERY_S = 1.0

#: Trade ids that may have been used since the counters were last written.
TRADE_ID_LEAP = 10_000

#: A market that falls further behind than this gives the lost time up.
MOST_LAG_S = 2.0


log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class PaperVenue:
    """Everything that a request may need."""

    options: PaperOptions
    clock: ServerClock
    market: Market
    market_clock: MarketClock
    engine: Engine
    store: Store
    streams: StreamHub
    weights: WeightLimit
    connections: ConnectionLimit
    orders: OrderLimit
    faults: FaultPlan
    #: Of a live market: what brings its prices.
    follower: Follower | None = None

    async def run_market(self) -> None:
        """Let the market go on, for ever."""
        if self.follower is not None:
            await self.follower.run()
        while True:
            due_ms = self.market.next_due_ms()
            if due_ms is None:
                log.warning("paper_market.ended", market=self.market.source.identity, symbols="in BREAK")
                await anyio.sleep_forever()
                return
            await self._until(due_ms)
            jumped_ms = self.market.step(self.clock.now_ms())
            if jumped_ms is not None:
                self.market_clock.jump(jumped_ms)

    async def run_notes(self) -> None:
        """Write down now and then how far the market has run, for ever."""
        while True:
            await anyio.sleep(POSITION_EVERY_S)
            self.note_position()

    def note_position(self) -> None:
        """Write down how far the market has run."""
        self.store.write(
            [
                changes.put_position(self.market.source.identity, self.market.position_ms),
                *(
                    changes.put_counter(name, symbol.next_trade_id)
                    for name, symbol in self.market.symbols.items()
                ),
            ]
        )

    async def _until(self, due_ms: int) -> None:
        wait_s = self.market_clock.seconds_until(due_ms)
        if wait_s > 0:
            await anyio.sleep(wait_s)
            return
        await anyio.lowlevel.checkpoint()
        lag_ms = self.market_clock.now_ms() - due_ms
        if lag_ms > MOST_LAG_S * 1000 * self.market_clock.speed:
            self.market_clock.jump(due_ms)


async def open_venue(options: PaperOptions, clock: ServerClock) -> PaperVenue:
    """Put a venue together from its options and what its store remembers.

    Raises:
        SourceError, StoreError: naming what is wrong.
    """
    if options.speed <= 0:
        raise SourceError("the speed must be above zero")
    if options.market == "live" and options.speed != 1:
        raise SourceError("a live market moves at speed 1")
    store = Store(options.store)
    try:
        if options.market == "live":
            live, follower = await open_live(
                options.live_url, options.live_stream_url, options.symbols, clock
            )
            return _venue(options, clock, store, live, follower)
        source = await _source(options, store, clock)
        position_ms = store.position(source.identity) or source.start_ms
        market = Market(source, position_ms=position_ms, speed=options.speed)
        return _venue(options, clock, store, market)
    except BaseException:
        store.close()
        raise


def _venue(
    options: PaperOptions,
    clock: ServerClock,
    store: Store,
    market: Market,
    follower: Follower | None = None,
) -> PaperVenue:
    plan = FaultPlan(ShiftedClock(clock))
    clock = plan.clock
    _continue_trade_ids(market, store)
    engine = Engine(market, store, _balances(options.starting_balances))
    streams = StreamHub(market, clock, plan)
    orders = OrderLimit(options.order_limits)
    engine.on_first_fill = lambda account_id, given, now_ms: orders.add(account_id, -given, now_ms)

    def on_trade(trade: Trade) -> None:
        if market.symbols[trade.symbol].is_open:
            engine.on_trade(trade)
        streams.on_trade(trade)

    market.on_trade = on_trade
    market.on_closed = streams.on_closed
    return PaperVenue(
        options=options,
        clock=clock,
        market=market,
        market_clock=MarketClock(clock, position_ms=market.position_ms, speed=options.speed),
        engine=engine,
        store=store,
        streams=streams,
        weights=WeightLimit(options.weight_limit),
        connections=ConnectionLimit(options.connection_limit),
        orders=orders,
        faults=plan,
        follower=follower,
    )


async def _source(options: PaperOptions, store: Store, clock: ServerClock) -> Source:
    if options.market == "replay":
        return await anyio.to_thread.run_sync(lambda: ReplaySource(options.replay, options.symbols))
    instruments = _chosen(default_instruments(), options.symbols)
    if options.seed is not None:
        return SyntheticSource(options.seed, instruments, start_ms=ORIGIN_MS)
    seed, start_ms = _drawn(store, clock)
    return SyntheticSource(seed, instruments, start_ms=start_ms)


def _drawn(store: Store, clock: ServerClock) -> tuple[int, int]:
    """Return the seed and the beginning that the first start without a seed has drawn."""
    known = store.fact("drawn market")
    if known is None:
        known = f"{secrets.randbits(32)} {clock.now_ms()}"
        store.write([changes.put_fact("drawn market", known)])
    seed, start_ms = known.split()
    return int(seed), int(start_ms)


def _chosen(known: dict[str, PaperInstrument], wanted: list[str]) -> dict[str, PaperInstrument]:
    """Return the wanted symbols.

    Raises:
        SourceError: one is not known.
    """
    if not wanted:
        return known
    unknown = [symbol for symbol in wanted if symbol.upper() not in known]
    if unknown:
        raise SourceError(f"the synthetic market has no {', '.join(unknown)}; it has {', '.join(known)}")
    return {symbol.upper(): known[symbol.upper()] for symbol in wanted}


def _continue_trade_ids(market: Market, store: Store) -> None:
    counters, last = store.counters(), store.last_trade_ids()
    for name, symbol in market.symbols.items():
        if name in counters:
            symbol.next_trade_id = counters[name] + TRADE_ID_LEAP
        symbol.next_trade_id = max(symbol.next_trade_id, last.get(name, 0) + 1)


def _balances(balances: Mapping[str, str]) -> dict[str, int]:
    return {asset.upper(): units(amount) for asset, amount in balances.items()}
