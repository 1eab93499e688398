"""Every table but those of the books (`order_tables`), with the constraints that make bad rows impossible.

`bot_states` is the row that is locked first by everybody; its `version` and `term` guard each write.
Amounts are NUMERIC without a scale, so that no digit is lost; NaN and infinities are refused.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from botwarden.persistence import order_tables  # noqa: F401 - they belong to the same schema
from botwarden.persistence.columns import finite, metadata, not_negative, positive, time

#: How many hash slots bot ids fall into (id modulo).
SLOT_COUNT = 1024

_VENUES = "venue IN ('paper', 'testnet', 'live')"

installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, server_default=text("1")),
    #: Random word in every client order id; renewed by a restore.
    Column("tag", Text, nullable=False),
    time("created_at"),
    CheckConstraint("id = 1", name="only_one"),
    CheckConstraint("tag ~ '^[a-z0-9]{6}$'", name="tag_form"),
)

users = Table(
    "users",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("email", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="user"),
    Column("is_disabled", Boolean, nullable=False, server_default=text("false")),
    time("created_at"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    CheckConstraint("role IN ('user', 'admin')", name="role_known"),
    UniqueConstraint("email"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    #: SHA-256 of the bearer token; the token itself is never stored.
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    time("created_at"),
    time("expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("label", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("api_key_hint", Text, nullable=False),
    #: AES-256-GCM of the key pair, bound to this row; see `persistence.vault`.
    Column("sealed", LargeBinary, nullable=False),
    #: Which encryption key sealed it.
    Column("sealed_with", Text, nullable=False),
    time("created_at"),
    CheckConstraint(_VENUES, name="venue_known"),
    UniqueConstraint("id", "user_id", "venue"),
)

bot_configs = Table(
    "bot_configs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("strategy_params", JSONB, nullable=False, server_default=text("'{}'")),
    Column("timeframe", Text, nullable=False),
    Column("venue", Text, nullable=False),
    Column("api_key_id", BigInteger, nullable=False),
    Column("check_interval_seconds", Integer, nullable=False),
    Column("initial_capital", Numeric, nullable=False),
    Column("position_size_fixed", Numeric),
    Column("position_size_perc", Numeric),
    Column("stop_loss_perc", Numeric, nullable=False),
    Column("take_profit_perc", Numeric, nullable=False),
    Column("trailing_stop_perc", Numeric),
    Column("trailing_stop_active", Boolean, nullable=False),
    Column("max_daily_trades", Integer),
    Column("max_daily_loss_perc", Numeric),
    Column("daily_target_perc", Numeric),
    Column("reactivate_daily", Boolean, nullable=False),
    Column("exchange_protection", Boolean, nullable=False, server_default=text("false")),
    time("created_at"),
    time("updated_at"),
    # Another user's key, or a key of another venue, cannot be named: the pair must exist.
    ForeignKeyConstraint(
        ["api_key_id", "user_id", "venue"],
        ["api_keys.id", "api_keys.user_id", "api_keys.venue"],
        name="fk_bot_configs_own_api_key",
    ),
    UniqueConstraint("id", "user_id"),
    Index("ix_bot_configs_user_id_id", "user_id", "id"),
    Index("ix_bot_configs_api_key_id", "api_key_id"),
    CheckConstraint(_VENUES, name="venue_known"),
    CheckConstraint("length(name) BETWEEN 1 AND 100", name="name_length"),
    CheckConstraint("check_interval_seconds BETWEEN 1 AND 86400", name="interval_range"),
    CheckConstraint("(position_size_fixed IS NULL) <> (position_size_perc IS NULL)", name="one_size"),
    positive("initial_capital"),
    positive("position_size_fixed"),
    CheckConstraint("position_size_perc > 0 AND position_size_perc <= 100", name="size_perc_range"),
    CheckConstraint("stop_loss_perc > 0 AND stop_loss_perc < 100", name="stop_loss_range"),
    CheckConstraint("take_profit_perc > 0 AND take_profit_perc <= 1000", name="take_profit_range"),
    CheckConstraint("trailing_stop_perc > 0 AND trailing_stop_perc < 100", name="trailing_range"),
    CheckConstraint("NOT trailing_stop_active OR trailing_stop_perc IS NOT NULL", name="trailing_has_perc"),
    CheckConstraint("max_daily_trades > 0", name="max_trades_range"),
    CheckConstraint("max_daily_loss_perc > 0 AND max_daily_loss_perc <= 100", name="max_loss_range"),
    CheckConstraint("daily_target_perc > 0 AND daily_target_perc < 'Infinity'", name="target_range"),
)

bot_states = Table(
    "bot_states",
    metadata,
    #: The config's id.
    Column("bot_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    Column("term", BigInteger, nullable=False, server_default=text("0")),
    Column("slot", SmallInteger, nullable=False),
    Column("trading_day", Date, nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False, server_default="stopped"),
    Column("halted_by", Text),
    Column("in_position", Boolean, nullable=False, server_default=text("false")),
    Column("entry_price", Numeric),
    Column("current_position_size_coins", Numeric, nullable=False, server_default=text("0")),
    Column("position_cost_quote", Numeric, nullable=False, server_default=text("0")),
    Column("trailing_stop_price", Numeric),
    Column("max_price_since_entry", Numeric),
    Column("take_profit_price", Numeric),
    Column("stop_loss_price", Numeric),
    Column("daily_pnl", Numeric, nullable=False, server_default=text("0")),
    Column("daily_trades_count", Integer, nullable=False, server_default=text("0")),
    Column("last_error_message", Text),
    time("close_requested_at", nullable=True),
    Column("open_order_number", Integer),
    Column("orders_made", Integer, nullable=False, server_default=text("0")),
    Column("resting_list_number", Integer),
    Column("leaving", Text),
    time("protection_retry_at", nullable=True),
    #: Set by the trigger `bot_states_touch`, whenever `version` changes; always later than before.
    time("last_updated_at"),
    ForeignKeyConstraint(
        ["bot_id", "user_id"],
        ["bot_configs.id", "bot_configs.user_id"],
        ondelete="CASCADE",
        name="fk_bot_states_config",
    ),
    Index("ix_bot_states_slot_bot_id", "slot", "bot_id"),
    Index("ix_bot_states_user_id_bot_id", "user_id", "bot_id"),
    # No index on what transitions change: so their updates stay within the page (HOT).
    # New bots, which wait for the holder of their slot.
    Index("ix_bot_states_unclaimed", "slot", "bot_id", postgresql_where=text("term = 0")),
    CheckConstraint("version >= 1", name="version_range"),
    CheckConstraint("term >= 0", name="term_range"),
    CheckConstraint(f"slot = bot_id % {SLOT_COUNT}", name="slot_of_id"),
    CheckConstraint("halted_by IN ('owner', 'system')", name="halted_by_known"),
    CheckConstraint(
        "NOT in_position OR (current_position_size_coins > 0 AND entry_price > 0)", name="position_whole"
    ),
    CheckConstraint("open_order_number <= orders_made", name="open_order_made"),
    CheckConstraint("resting_list_number <= orders_made", name="resting_list_made"),
    CheckConstraint("resting_list_number <> open_order_number", name="resting_list_not_open"),
    CheckConstraint("leaving IS NULL OR in_position", name="leaving_position"),
    CheckConstraint("daily_trades_count >= 0", name="trades_count_range"),
    not_negative("current_position_size_coins"),
    not_negative("entry_price"),
    finite("position_cost_quote"),
    not_negative("trailing_stop_price"),
    not_negative("max_price_since_entry"),
    not_negative("take_profit_price"),
    not_negative("stop_loss_price"),
    finite("daily_pnl"),
)

#: Written in batches without a new version; HOT updates only.
bot_progress = Table(
    "bot_progress",
    metadata,
    Column(
        "bot_id",
        BigInteger,
        ForeignKey("bot_states.bot_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    #: When the last evaluation finished; empty before the first.
    time("last_run_at", nullable=True),
)

#: For watchers who come back; no foreign key, since the bot is no more.
deleted_bots = Table(
    "deleted_bots",
    metadata,
    Column("bot_id", BigInteger, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    time("deleted_at"),
    Index("ix_deleted_bots_user_id_deleted_at", "user_id", "deleted_at"),
)

#: Partitioned by day on `at`; see `persistence.events`.
bot_events = Table(
    "bot_events",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    time("at"),
    Column("bot_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("kind", Text, nullable=False),
    #: {"field": [before, after]} of every field of the state that changed.
    Column("changes", JSONB, nullable=False),
    Column("message", Text),
    PrimaryKeyConstraint("at", "id"),
    Index("ix_bot_events_bot_id_id", "bot_id", "id"),
    CheckConstraint(
        "cause IN ('owner', 'strategy', 'risk', 'reset', 'supervisor', 'api')", name="cause_known"
    ),
    postgresql_partition_by="RANGE (at)",
)

daily_resets = Table(
    "daily_resets",
    metadata,
    Column("day", Date, primary_key=True),
    time("done_at"),
    Column("bots_reset", Integer, nullable=False),
)

replicas = Table(
    "replicas",
    metadata,
    #: Also the key of the replica's session-level advisory lock.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False),
    time("started_at"),
    time("beat_at"),
    Column("draining", Boolean, nullable=False, server_default=text("false")),
)

slots = Table(
    "slots",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("replica_id", BigInteger, ForeignKey("replicas.id", ondelete="SET NULL"), index=True),
    #: Raised with each change of hands; bots of the slot get it as their term.
    Column("term", BigInteger, nullable=False, server_default=text("0")),
    time("changed_at"),
    CheckConstraint(f"slot >= 0 AND slot < {SLOT_COUNT}", name="slot_range"),
)

halts = Table(
    "halts",
    metadata,
    #: The account's emergency brake; 0 is everyone's.
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("set_by", BigInteger, nullable=False),
    time("set_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", BigInteger, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    #: SHA-256 of method, path and body.
    Column("request_hash", LargeBinary, nullable=False),
    #: Empty while the first attempt runs and has nothing to answer yet.
    Column("response_status", SmallInteger),
    Column("response_body", LargeBinary),
    Column("response_type", Text),
    time("created_at"),
    #: The attempt runs on after its transaction; past this moment it is held for dead.
    time("running_until", nullable=True),
    PrimaryKeyConstraint("user_id", "key"),
    Index("ix_idempotency_keys_created_at", "created_at"),
    CheckConstraint("length(key) BETWEEN 1 AND 255", name="key_length"),
)
