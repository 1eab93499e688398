"""What is counted, and who may see it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.stage import METRICS_TOKEN, Stage, open_stage

pytestmark = pytest.mark.anyio

ALL = "/api/v1/bots/status-stream"


@pytest.fixture
async def stage(database, redis_url) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url) as stage:
        yield stage


def samples(answer: httpx.Response) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def count(found: dict, route: str, status: str) -> float:
    labels = (("method", "GET"), ("route", route), ("status", status))
    return found.get(("botwarden_http_request_seconds_count", labels), 0.0)


async def test_requests_are_counted_by_template_and_status(stage):
    """Ids never become labels: a thousand bots are one series."""
    token = await stage.token(await stage.house.user("ann@example.org"))
    for bot_id in range(1, 6):
        await stage.get(f"/api/v1/bots/{bot_id}/status-stream", token)
    await stage.get("/api/v1/strategies", token)
    await stage.get("/api/v1/strategies")

    answer = await stage.get("/metrics")
    found = samples(answer)

    assert count(found, "/api/v1/bots/{bot_id}/status-stream", "404") == 5
    assert count(found, "/api/v1/strategies", "200") == 1
    assert count(found, "/api/v1/strategies", "401") == 1
    assert "/api/v1/bots/1/" not in answer.text
    # A parameter that is named twice makes Prometheus refuse the whole answer.
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_streams_and_their_messages_are_counted(stage):
    """Open streams, messages and the lag between commit and hub can be seen."""
    user_id = await stage.house.user("ann@example.org")
    token, bot = await stage.token(user_id), await stage.house.bot(user_id)
    async with stage.events(ALL, token) as source:
        received = source.aiter_sse()
        await anext(received)
        await stage.house.commit(bot)
        await anext(received)
        found = samples(await stage.get("/metrics"))
    assert found["botwarden_streams_open", ()] == 1
    assert found["botwarden_stream_messages_total", ()] == 2
    assert found["botwarden_hub_lag_seconds_count", ()] == 1
    assert found["botwarden_hub_lag_seconds_sum", ()] < 5
    assert ("botwarden_cache_hits_total", ()) in found
    assert found["process_resident_memory_bytes", ()] > 0


async def test_neighbours_need_no_token(stage):
    """On this machine the figures are open."""
    assert (await stage.get("/metrics")).status_code == 200


async def test_what_a_proxy_passes_on_needs_the_token(stage):
    """A proxy on this machine does not make the world a neighbour."""
    for header in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
        passed_on = {header: "203.0.113.7"}
        assert (await stage.get("/metrics", **passed_on)).status_code == 401
        assert (await stage.get("/metrics", "wrong", **passed_on)).status_code == 401
        assert (await stage.get("/metrics", METRICS_TOKEN, **passed_on)).status_code == 200
