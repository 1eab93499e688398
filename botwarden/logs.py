"""The log: one line per event on standard error, for people or for machines.

The invariant: no secret is written. Fields that are named like secrets are blotted out, and so is what looks
like one inside texts and tracebacks.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

BLOT = "********"

_SECRET_FIELD = re.compile(
    r"secret|passw|token|authori[sz]ation|cookie|signature|api_?key|private_?key|_url$", re.IGNORECASE
)
#: Fields that only count, name or describe secrets.
_HARMLESS_FIELD = re.compile(r"(_ids?|_hint|_count|_hours|_label)$", re.IGNORECASE)
_SECRET_TEXT = (
    (re.compile(r"(\w://[^:/@\s]*:)[^@/\s]+@"), rf"\1{BLOT}@"),
    (
        re.compile(r"\b(signature|secret\w*|token|password|apikey|api_key)=[^&\s'\",)]+", re.IGNORECASE),
        rf"\1={BLOT}",
    ),
    (re.compile(r"\b(bearer) [\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {BLOT}"),
)
#: Libraries that would write a line for every request.
_CHATTY = (
    "aiohttp",
    "alembic",
    "asyncio",
    "binance",
    "httpx",
    "httpcore",
    "sqlalchemy",
    "uvicorn",
    "websockets",
)

Event = MutableMapping[str, Any]


def configure(
    level: str = "info", form: Literal["console", "json"] = "console", stream: TextIO | None = None
) -> None:
    """Write the log of botwarden, and warnings of libraries, to `stream` (standard error)."""
    stream = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    before: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = _renderer(form, stream)
    structlog.configure(
        processors=[*before, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*before, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _CHATTY:
        for part in _loggers_of(name):
            part.handlers.clear()
            part.propagate = True
            part.setLevel(logging.NOTSET)
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _loggers_of(library: str) -> list[logging.Logger]:
    """Return a library's loggers, also those which it has set up for itself before."""
    known = [name for name in logging.root.manager.loggerDict if name.startswith(f"{library}.")]
    return [logging.getLogger(name) for name in (library, *known)]


def _renderer(form: str, stream: TextIO) -> list[structlog.types.Processor]:
    """Return the last steps: tracebacks become text, secrets are blotted out, a line is made."""
    last: structlog.types.Processor
    if form == "json":
        last = structlog.processors.JSONRenderer(sort_keys=False)
    else:
        # Tracebacks are plain text already: the pretty ones show local variables, secrets among them.
        last = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return [structlog.processors.format_exc_info, redact, last]


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Blot out secrets in every field of an event."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_FIELD.search(name) and not _HARMLESS_FIELD.search(name):
        return BLOT if value else value
    if isinstance(value, str):
        for pattern, replacement in _SECRET_TEXT:
            value = pattern.sub(replacement, value)
        return value
    if isinstance(value, dict):
        return {key: _redacted(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(name, inner) for inner in value]
    if isinstance(value, BaseException):
        return _redacted(name, repr(value))
    return value
