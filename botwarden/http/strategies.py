"""GET /strategies: what a bot can be told to follow, with the JSON Schema of its parameters."""

from typing import Any

import msgspec
from litestar import get

from botwarden.trading.strategies.registry import STRATEGIES


class StrategyView(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy."""

    name: str
    description: str
    #: JSON Schema of `strategy_params`, with the defaults.
    parameters: dict[str, Any]


class StrategyList(msgspec.Struct, frozen=True, kw_only=True):
    """Every strategy, by name."""

    items: list[StrategyView]


@get("/api/v1/strategies", tags=["market"], summary="List the strategies")
async def list_strategies() -> StrategyList:
    """Return every strategy with the JSON Schema of its parameters."""
    return StrategyList(
        items=[
            StrategyView(name=name, description=strategy.description, parameters=dict(strategy.parameters))
            for name, strategy in sorted(STRATEGIES.items())
        ]
    )


routes = [list_strategies]
