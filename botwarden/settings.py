"""Every setting of botwarden: its name, default, meaning, and where its present value came from.

A value is taken from the command line, else from the environment (`BOTWARDEN_<NAME>`, or for a secret the
file that `BOTWARDEN_<NAME>_FILE` names), else from what a running `up` has written, else it is the default.
The invariant: what is in a `Settings` has been checked, and no secret shows in its `repr` or in an error.
"""

import difflib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

from botwarden.errors import FieldError, Invalid
from botwarden.persistence.embedded.places import default_data_dir, read_run_file

PREFIX = "BOTWARDEN_"
SHORTEST_SECRET = 32

#: Read by other programs than this one.
_NOT_OURS = {"BOTWARDEN_PYTHON"}
_OBVIOUS = ("changeme", "change-me", "change_me", "secret", "password", "example", "botwarden", "0123456789")

Parse = Callable[[Any], Any]


class Source(StrEnum):
    """Where a value came from."""

    DEFAULT = "default"
    UP = "derived by up"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one setting."""

    name: str
    default: Any
    meaning: str
    parse: Parse
    secret: bool

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


def _text(raw: Any) -> str:
    return str(raw).strip()


def _whole(low: int, high: int) -> Parse:
    def parse(raw: Any) -> int:
        value = int(str(raw))
        if not low <= value <= high:
            raise ValueError
        return value

    return _saying(parse, f"must be a whole number from {low} to {high}")


def _number(low: float, high: float) -> Parse:
    def parse(raw: Any) -> float:
        value = float(raw)
        if not low <= value <= high:
            raise ValueError
        return value

    return _saying(parse, f"must be a number from {low:g} to {high:g}")


def _one_of(*words: str) -> Parse:
    def parse(raw: Any) -> str:
        word = _text(raw).lower()
        if word not in words:
            raise ValueError
        return word

    return _saying(parse, f"must be one of {', '.join(words)}")


def _yes_or_no(raw: Any) -> bool:
    word = _text(raw).lower()
    if word not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise ValueError
    return word in {"true", "yes", "on", "1"}


def _many(separator: str, parse: Parse = _text) -> Parse:
    def parse_all(raw: Any) -> tuple[Any, ...]:
        words: Sequence[Any] = raw.split(separator) if isinstance(raw, str) else raw
        return tuple(parse(word) for word in words if _text(word))

    return parse_all


def _url(*schemes: str) -> Parse:
    def parse(raw: Any) -> str:
        url = _text(raw)
        if url and urlsplit(url).scheme not in schemes:
            raise ValueError
        return url

    return _saying(parse, f"must be a URL that begins with {' or '.join(f'{name}://' for name in schemes)}")


def _path(raw: Any) -> Path:
    if not _text(raw):
        raise ValueError
    return Path(raw).expanduser().absolute()


def _saying(parse: Parse, rule: str) -> Parse:
    """Return `parse`, whose errors tell the rule and never the value: it may be a secret."""

    def parse_or_say(raw: Any) -> Any:
        try:
            return parse(raw)
        except (TypeError, ValueError):
            raise ValueError(rule) from None

    return parse_or_say


_PATH = _saying(_path, "must be a path")
_FLAG = _saying(_yes_or_no, "must be true or false")


def _setting(default: Any, meaning: str, parse: Parse = _text, *, secret: bool = False) -> Any:
    """Declare a setting; a callable default is computed from the environment."""
    marks = {"default": default, "meaning": meaning, "parse": parse, "secret": secret}
    return field(metadata=marks, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting; an empty text stands for one that is not set."""

    host: str = _setting("127.0.0.1", "Address that the API listens on.")
    port: int = _setting(8000, "Port that the API listens on; 0 takes a free one.", _whole(0, 65535))
    data_dir: Path = _setting(  # noqa: RUF009 - it declares a field, it makes no value
        default_data_dir,
        "Directory in which `up` keeps its servers and secrets.",
        _PATH,
    )
    database_url: str = _setting(
        "",
        "PostgreSQL 14 or newer: postgresql://user:password@host/database.",
        _url("postgresql", "postgres", "postgresql+asyncpg"),
        secret=True,
    )
    database_direct_url: str = _setting(
        "",
        "The same database past any connection pooler; needed where database_url leads through one.",
        _url("postgresql", "postgres", "postgresql+asyncpg"),
        secret=True,
    )
    redis_url: str = _setting(
        "",
        "Redis 6.2 or newer, or Valkey: redis://host:6379/0.",
        _url("redis", "rediss", "unix"),
        secret=True,
    )
    secret_key: str = _setting(
        "", f"Encrypts the exchange keys; {SHORTEST_SECRET} random characters or more.", secret=True
    )
    previous_secret_keys: tuple[str, ...] = _setting(
        (),
        "Older secret keys, newest first and separated by commas, that still open.",
        _many(","),
        secret=True,
    )
    replica_name: str = _setting(lambda _env: platform.node(), "Name of this replica in views and logs.")
    registration: Literal["open", "closed"] = _setting(
        "open", "Whether anybody may make an account (open or closed).", _one_of("open", "closed")
    )
    token_hours: float = _setting(24 * 7, "How many hours a login is good for.", _number(0.01, 24 * 366))
    cors_origins: tuple[str, ...] = _setting(
        (),
        "Other origins whose pages may call the API, separated by commas.",
        _many(",", _url("http", "https")),
    )
    secure_cookies: bool = _setting(False, "Whether cookies go over https only.", _FLAG)
    metrics_token: str = _setting("", "Bearer token that opens /metrics to other machines.", secret=True)
    stream_heartbeat_s: float = _setting(
        15.0, "Seconds of silence after which a status stream sends a comment.", _number(0.1, 15)
    )
    paper_url: str = _setting(
        "http://127.0.0.1:8001", "Where the paper exchange answers.", _url("http", "https")
    )
    paper_admin_token: str = _setting("", "Opens the paper exchange's administration.", secret=True)
    market: Literal["synthetic", "replay", "live"] = _setting(
        "synthetic",
        "Prices of the paper exchange: synthetic, replay or live.",
        _one_of("synthetic", "replay", "live"),
    )
    live_url: str = _setting(
        "https://data-api.binance.vision",
        "REST of the public market that `--market live` follows.",
        _url("http", "https"),
    )
    live_stream_url: str = _setting("wss://data-stream.binance.vision", "Its streams.", _url("ws", "wss"))
    replay: tuple[Path, ...] = _setting(
        (), "Kline files, or folders of them, for a replay, separated by colons.", _many(os.pathsep, _path)
    )
    speed: float = _setting(
        1.0, "How much faster than the clock the paper market moves.", _number(0.001, 1_000_000)
    )
    seed: int = _setting(1, "Seed of the synthetic market.", _whole(0, 2**63 - 1))
    bots: int = _setting(0, "How many running demo bots `up` sees to.", _whole(0, 100_000))
    reset_reactivates: Literal["system", "all"] = _setting(
        "system",
        "Whom midnight starts again: what the system halted (system), or also what owners stopped (all).",
        _one_of("system", "all"),
    )
    keep_events_days: int = _setting(90, "Days that the audit trail is kept.", _whole(1, 100_000))
    recv_window_ms: int = _setting(
        5000,
        "Milliseconds after which the exchange refuses an order of ours; a stop waits for no longer one.",
        _whole(500, 10_000),
    )
    order_timeout_s: float = _setting(
        10.0, "Seconds after which an order without an answer counts as unknown.", _number(0.1, 120)
    )
    trust_withdraw_keys: bool = _setting(
        False,
        "Whether exchange keys that may withdraw are accepted.",
        _FLAG,
    )
    db_pool_size: int = _setting(10, "Database connections that one replica trades with.", _whole(2, 1000))
    db_api_pool_size: int = _setting(
        10, "Further ones that its API answers with: requests that wait hold up no trading.", _whole(2, 1000)
    )
    lock_wait_ms: int = _setting(
        2000, "Milliseconds that a request waits for a locked bot before it answers 423.", _whole(1, 60_000)
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info",
        "The least that is logged: debug, info, warning or error.",
        _one_of("debug", "info", "warning", "error"),
    )
    log_format: Literal["console", "json"] = _setting(
        "console", "Form of the log: console or json.", _one_of("console", "json")
    )
    #: Where each value came from.
    sources: Mapping[str, Source] = field(repr=False)

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str],
        overrides: Mapping[str, Any] | None = None,
        derived: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the settings of an environment; `overrides` come from the command line (None: not given).

        Raises:
            Invalid: naming each variable or option that breaks a rule.
        """
        values: dict[str, Any] = {}
        sources: dict[str, Source] = {}
        errors: list[FieldError] = []
        for setting in SETTINGS:
            try:
                raw, sources[setting.name] = _find(setting, env, overrides or {}, derived or {})
                values[setting.name] = setting.parse(raw)
            except (OSError, ValueError) as error:
                errors.append(FieldError(_asked_as(setting, overrides or {}), str(error)))
        if errors:
            raise Invalid(*errors)
        return cls(**values, sources=sources)

    @classmethod
    def from_environment(cls, **overrides: Any) -> Self:
        """Return the settings of this process, with what a running `up` of the data directory has derived.

        Raises:
            Invalid: naming each variable or option that breaks a rule.
        """
        data_dir = cls.from_env(os.environ, overrides).data_dir
        return cls.from_env(os.environ, overrides, read_run_file(data_dir))

    def shown(self, name: str) -> Any:
        """Return a value as it may be shown to a person."""
        value = getattr(self, name)
        return masked(value) if _BY_NAME[name].secret else value


def masked(value: Any) -> str:
    """Return what may be shown of a secret: of a URL, where it leads."""
    if not value:
        return ""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or not parts.scheme or "://" not in value:
        return "********"
    user, at, host = parts.netloc.rpartition("@")
    login = user.partition(":")[0] + (":********" if ":" in user else "")
    return parts._replace(netloc=login + at + host, query="").geturl()


def unknown_variables(env: Mapping[str, str]) -> list[str]:
    """Return a line for each variable that looks like a setting and is none."""
    known = {setting.variable for setting in SETTINGS} | _NOT_OURS
    known |= {f"{setting.variable}_FILE" for setting in SETTINGS if setting.secret}
    lines = []
    for name in sorted(name for name in env if name.startswith(PREFIX) and name not in known):
        close = difflib.get_close_matches(name, known, n=1)
        lines.append(f"{name} is not a setting" + (f"; {close[0]} is." if close else "."))
    return lines


def problems_for_serve(settings: Settings) -> list[str]:
    """Return what is missing or unsafe for production, a line each; empty when nothing is."""
    problems = []
    for name in ("database_url", "redis_url", "secret_key"):
        setting = _BY_NAME[name]
        if not getattr(settings, name) or settings.sources[name] is Source.UP:
            problems.append(f"{setting.variable} is missing. {setting.meaning}")
    keys = {"secret_key": [settings.secret_key], "previous_secret_keys": settings.previous_secret_keys}
    for name, secrets in keys.items():
        weak = {fault for secret in secrets if secret and (fault := _weakness(secret))}
        problems.extend(f"{_BY_NAME[name].variable} {fault}." for fault in sorted(weak))
    return problems


def _weakness(secret: str) -> str | None:
    if len(secret) < SHORTEST_SECRET:
        return f"is shorter than {SHORTEST_SECRET} characters"
    if len(set(secret)) < 8 or any(word in secret.lower() for word in _OBVIOUS):
        return "is easy to guess"
    return None


def _find(
    setting: Setting, env: Mapping[str, str], overrides: Mapping[str, Any], derived: Mapping[str, Any]
) -> tuple[Any, Source]:
    if overrides.get(setting.name) not in (None, ()):
        return overrides[setting.name], Source.COMMAND_LINE
    if env.get(setting.variable):
        return env[setting.variable], Source.ENVIRONMENT
    if setting.secret and env.get(f"{setting.variable}_FILE"):
        return _file_text(Path(env[f"{setting.variable}_FILE"])), Source.ENVIRONMENT
    if setting.name in derived:
        return derived[setting.name], Source.UP
    default = setting.default
    return default(env) if callable(default) else default, Source.DEFAULT


def _file_text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read: {error.strerror}") from None


def _asked_as(setting: Setting, overrides: Mapping[str, Any]) -> str:
    """Return the name under which the person gave the value."""
    if overrides.get(setting.name) not in (None, ()):
        return "--" + setting.name.replace("_", "-")
    return setting.variable


def _described(declared: "Field[Any]") -> Setting:
    marks = cast("Mapping[str, Any]", declared.metadata)
    return Setting(declared.name, marks["default"], marks["meaning"], marks["parse"], marks["secret"])


#: Every setting, in the order in which they are listed.
SETTINGS = tuple(_described(declared) for declared in fields(Settings) if declared.metadata)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
