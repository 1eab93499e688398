"""The log: one line per event, no secrets, and libraries heard only when something is wrong."""

import io
import json
import logging

import pytest
import structlog

from botwarden import logs


@pytest.fixture
def written():
    """The log as JSON lines."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)

    def lines():
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    lines.stream = stream
    return lines


def test_an_event_is_one_line_with_its_fields(written):
    """Name, level, time and fields."""
    structlog.get_logger().info("bot.paused", bot_id=7)
    (line,) = written()
    assert line["event"] == "bot.paused"
    assert line["level"] == "info"
    assert line["bot_id"] == 7
    assert line["timestamp"].endswith("Z")


def test_less_than_the_level_is_not_written(written):
    """Debug is silent at info."""
    structlog.get_logger().debug("bot.thought")
    assert written() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"secret_key": "hush"},
        {"password": "hush"},
        {"access_token": "hush"},
        {"api_key": "hush"},
        {"headers": {"Authorization": "Bearer hush", "Cookie": "hush"}},
        {"accounts": [{"apiKey": "hush"}]},
        {"url": "postgresql://ann:hush@db/x"},
        {"reason": "GET /api/v3/order?symbol=A&signature=hush failed"},
        {"reason": "sent Bearer hushhushhush"},
        {"error": ValueError("redis://:hush@host")},
    ],
)
def test_secrets_are_blotted_out(written, fields):
    """By the name of the field, at any depth, and inside texts."""
    structlog.get_logger().info("something.happened", **fields)
    assert "hush" not in json.dumps(written())
    assert logs.BLOT in json.dumps(written())


def test_a_traceback_is_written_without_secrets(written):
    """An exception's text is treated like any text."""
    try:
        int("postgresql://ann:hush@db/x")
    except ValueError:
        structlog.get_logger().exception("database.lost")
    (line,) = written()
    assert "Traceback" in line["exception"]
    assert "hush" not in line["exception"]


def test_what_only_names_a_secret_stays(written):
    """Ids and hints are there to be read."""
    structlog.get_logger().info("key.used", api_key_id=7, api_key_hint="ab…yz")
    (line,) = written()
    assert (line["api_key_id"], line["api_key_hint"]) == (7, "ab…yz")


@pytest.mark.parametrize("library", ["uvicorn.access", "sqlalchemy.engine", "aiohttp.client", "binance.ws"])
def test_libraries_are_heard_when_something_is_wrong(written, library):
    """Their everyday talk is dropped; their warnings are lines like ours, blotted as ours."""
    chatty = logging.getLogger(library)
    chatty.propagate = False  # as uvicorn leaves its own
    chatty.addHandler(logging.NullHandler())
    logs.configure("info", "json", written.stream)
    logging.getLogger(library).info("connected")
    logging.getLogger(library).warning("lost %s", "redis://:hush@host")
    (line,) = written()
    assert (line["level"], line["logger"]) == ("warning", library)
    assert line["event"] == f"lost redis://:{logs.BLOT}@host"


def test_the_console_form_is_for_people():
    """Readable words, no escape codes where nobody looks at colours."""
    before, stream = structlog.get_config(), io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("warning", "console", stream)
    structlog.get_logger().warning("feed.silent", symbol="BTCUSDT")
    structlog.configure(**before)
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
    assert "feed.silent" in stream.getvalue()
    assert "symbol=BTCUSDT" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
