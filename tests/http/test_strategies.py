"""What a bot can be told to follow."""

from collections.abc import AsyncIterator

import pytest

from botwarden.trading.strategies.registry import STRATEGIES
from tests.http.stage import Stage, open_stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(database, redis_url) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url) as stage:
        yield stage


async def test_each_strategy_comes_with_the_schema_of_its_parameters(stage):
    """Every strategy is listed once, and its defaults obey its own schema."""
    token = await stage.token(await stage.house.user("ann@example.org"))
    items = (await stage.get("/api/v1/strategies", token)).json()["items"]

    assert [item["name"] for item in items] == sorted(STRATEGIES)
    for item in items:
        assert item["description"]
        assert item["parameters"]["type"] == "object"
        assert item["parameters"]["additionalProperties"] is False
        defaults = {name: rule["default"] for name, rule in item["parameters"]["properties"].items()}
        assert STRATEGIES[item["name"]].check(defaults) == defaults
