"""Rows of `bot_configs` and `bot_states` as the values that everyone else knows.

Column and field names are the same; only enumerations are converted.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from botwarden.persistence.tables import bot_configs, bot_states
from botwarden.trading.bot import BotConfig, BotState, HaltedBy, Venue

_CONFIG_FIELDS = BotConfig.__struct_fields__
_STATE_FIELDS = BotState.__struct_fields__
_WIDTH = len(_CONFIG_FIELDS)

#: Select these, in this order, for `state_of`.
STATE_COLUMNS: list[ColumnElement[Any]] = [bot_states.c[name] for name in _STATE_FIELDS]

#: Select these, in this order, for `config_of`.
CONFIG_COLUMNS: list[ColumnElement[Any]] = [bot_configs.c[name] for name in _CONFIG_FIELDS]

#: Select these, in this order, for `bot_of`; further columns may follow.
BOT_COLUMNS: list[ColumnElement[Any]] = [
    *CONFIG_COLUMNS,
    *(bot_states.c[name].label(f"state_{name}") for name in _STATE_FIELDS),
]


def config_of(row: Sequence[Any]) -> BotConfig:
    """Return the config in a row that begins with `CONFIG_COLUMNS`."""
    values = dict(zip(_CONFIG_FIELDS, row, strict=False))
    values["venue"] = Venue(values["venue"])
    return BotConfig(**values)


def state_of(row: Sequence[Any]) -> BotState:
    """Return the state in a row that begins with `STATE_COLUMNS`."""
    values = dict(zip(_STATE_FIELDS, row, strict=False))
    if values["halted_by"] is not None:
        values["halted_by"] = HaltedBy(values["halted_by"])
    return BotState(**values)


def bot_of(row: Sequence[Any]) -> tuple[BotConfig, BotState]:
    """Return config and state in a row that begins with `BOT_COLUMNS`."""
    return config_of(row), state_of(row[_WIDTH:])
