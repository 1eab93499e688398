"""The tables of the books: orders, fills, trades and adjustments.

They outlive their bot, and their constraints hold whatever the program does: an order is open once, booked
once, and a list or a cancel never looks like a market order.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from botwarden.persistence.columns import finite, metadata, not_negative, positive, time

#: Of orders `o`: those that ended with nothing executed because nobody at the venue knew them any more.
GIVEN_UP = "o.executed_base = 0 AND o.status IN ('absent', 'expired', 'cancelled')"

orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    # The ledger outlives the bot: no foreign key.
    Column("bot_id", BigInteger, nullable=False),
    #: The bot's own count of its orders, from 1.
    Column("number", Integer, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("api_key_id", BigInteger, nullable=False),
    Column("venue", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("type", Text, nullable=False, server_default="MARKET"),
    Column("reason", Text, nullable=False),
    Column("quantity_base", Numeric),
    Column("quantity_quote", Numeric),
    Column("decided_price_quote", Numeric, nullable=False),
    #: The two prices of a list.
    Column("take_profit_price", Numeric),
    Column("stop_loss_price", Numeric),
    #: The list that a cancel is about.
    Column("cancels_number", Integer),
    Column("client_order_id", Text, nullable=False, unique=True),
    #: By the venue's clock, in whole milliseconds.
    Column("intended_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False, server_default="open"),
    Column("venue_order_id", BigInteger),
    Column("executed_base", Numeric, nullable=False, server_default=text("0")),
    Column("executed_quote", Numeric, nullable=False, server_default=text("0")),
    Column("error_code", Integer),
    Column("error_message", Text),
    time("created_at"),
    time("settled_at", nullable=True),
    UniqueConstraint("bot_id", "number"),
    ForeignKeyConstraint(
        ["bot_id", "cancels_number"], ["orders.bot_id", "orders.number"], name="fk_orders_cancelled_list"
    ),
    # One open intent per bot, and one resting list, whatever the program does.
    Index("uq_orders_open_bot_id", "bot_id", unique=True, postgresql_where=text("status = 'open'")),
    Index("uq_orders_resting_bot_id", "bot_id", unique=True, postgresql_where=text("status = 'resting'")),
    # Where late finds are looked for.
    Index(
        "ix_orders_given_up",
        "settled_at",
        postgresql_where=text("executed_base = 0 AND status IN ('absent', 'expired', 'cancelled')"),
    ),
    Index("ix_orders_api_key_id", "api_key_id"),
    Index("ix_orders_bot_id_id", "bot_id", "id"),
    CheckConstraint("side IN ('BUY', 'SELL')", name="side_known"),
    CheckConstraint("type IN ('MARKET', 'OCO', 'CANCEL')", name="type_known"),
    CheckConstraint(
        "status IN ('open', 'resting', 'filled', 'expired', 'rejected', 'never_sent', 'absent', 'cancelled')",
        name="status_known",
    ),
    CheckConstraint("(status IN ('open', 'resting')) = (settled_at IS NULL)", name="settled_has_time"),
    CheckConstraint("status <> 'resting' OR type = 'OCO'", name="lists_rest"),
    CheckConstraint("status <> 'cancelled' OR type <> 'MARKET'", name="lists_are_cancelled"),
    CheckConstraint("status <> 'expired' OR type = 'MARKET'", name="lists_never_expire"),
    CheckConstraint("num_nonnulls(quantity_base, quantity_quote) = (type <> 'CANCEL')::int", name="one_size"),
    CheckConstraint(
        "side = 'BUY' AND type = 'MARKET' OR quantity_base IS NOT NULL OR type = 'CANCEL'",
        name="sale_in_base",
    ),
    CheckConstraint("side = 'SELL' OR type = 'MARKET'", name="lists_sell"),
    CheckConstraint(
        "num_nonnulls(take_profit_price, stop_loss_price) = (type = 'OCO')::int * 2", name="list_has_prices"
    ),
    CheckConstraint("stop_loss_price < take_profit_price", name="list_brackets"),
    CheckConstraint("(cancels_number IS NOT NULL) = (type = 'CANCEL')", name="cancel_names_list"),
    CheckConstraint("cancels_number < number", name="cancel_follows_list"),
    CheckConstraint("executed_base = 0 OR type <> 'CANCEL'", name="cancel_executes_nothing"),
    CheckConstraint("executed_base <= quantity_base OR type <> 'OCO'", name="list_sells_its_size"),
    CheckConstraint("status <> 'filled' OR executed_base > 0", name="filled_has_size"),
    positive("quantity_base"),
    positive("quantity_quote"),
    positive("take_profit_price"),
    positive("stop_loss_price"),
    not_negative("executed_base"),
    not_negative("executed_quote"),
)

fills = Table(
    "fills",
    metadata,
    Column("order_id", BigInteger, ForeignKey("orders.id"), nullable=False),
    Column("venue_trade_id", BigInteger, nullable=False),
    Column("bot_id", BigInteger, nullable=False, index=True),
    Column("price_quote", Numeric, nullable=False),
    Column("quantity_base", Numeric, nullable=False),
    Column("quantity_quote", Numeric, nullable=False),
    Column("commission", Numeric, nullable=False),
    Column("commission_asset", Text, nullable=False),
    Column("commission_quote", Numeric, nullable=False),
    Column("executed_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("order_id", "venue_trade_id"),
    positive("price_quote"),
    positive("quantity_base"),
    not_negative("commission"),
)

trades = Table(
    "trades",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    # An order is booked once, whatever the program does.
    Column("order_id", BigInteger, ForeignKey("orders.id"), nullable=False, unique=True),
    Column("bot_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("price_quote", Numeric, nullable=False),
    Column("quantity_base", Numeric, nullable=False),
    Column("quantity_quote", Numeric, nullable=False),
    Column("fee_quote", Numeric, nullable=False),
    Column("realised_pnl_quote", Numeric, nullable=False),
    Column("executed_at", DateTime(timezone=True), nullable=False),
    #: The UTC date of `executed_at`: the day whose counters it belongs to.
    Column("trading_day", Date, nullable=False),
    Index("ix_trades_bot_id_trading_day", "bot_id", "trading_day"),
    Index("ix_trades_bot_id_id", "bot_id", "id"),
    CheckConstraint("trading_day = (executed_at AT TIME ZONE 'UTC')::date", name="day_of_execution"),
    finite("realised_pnl_quote"),
)

adjustments = Table(
    "adjustments",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("bot_id", BigInteger, nullable=False),
    #: The state's field that its owner wrote: daily_pnl, daily_trades_count, current_position_size_coins, ...
    Column("field", Text, nullable=False),
    Column("before", Numeric, nullable=False),
    Column("after", Numeric, nullable=False),
    Column("trading_day", Date, nullable=False),
    Column("version", BigInteger, nullable=False),
    time("created_at"),
    Index("ix_adjustments_bot_id_trading_day", "bot_id", "trading_day"),
)
