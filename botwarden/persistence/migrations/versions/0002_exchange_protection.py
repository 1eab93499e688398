"""Protection at the exchange.

Orders may be lists of two sales that rest at the exchange, and cancels of them; bots may ask for it.

Revision: 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Only columns with constant defaults and without a default are added: no row is written.
_COLUMNS = (
    "ALTER TABLE bot_configs ADD COLUMN exchange_protection BOOLEAN DEFAULT false NOT NULL",
    """
    ALTER TABLE bot_states
        ADD COLUMN resting_list_number INTEGER,
        ADD COLUMN leaving TEXT,
        ADD COLUMN protection_retry_at TIMESTAMP WITH TIME ZONE,
        ADD CONSTRAINT ck_bot_states_resting_list_made CHECK (resting_list_number <= orders_made),
        ADD CONSTRAINT ck_bot_states_resting_list_not_open CHECK (resting_list_number <> open_order_number),
        ADD CONSTRAINT ck_bot_states_resting_list_protects CHECK (resting_list_number IS NULL OR in_position),
        ADD CONSTRAINT ck_bot_states_leaving_position CHECK (leaving IS NULL OR in_position)
    """,
    """
    ALTER TABLE orders
        ADD COLUMN take_profit_price NUMERIC,
        ADD COLUMN stop_loss_price NUMERIC,
        ADD COLUMN cancels_number INTEGER
    """,
)

# What was true of market orders alone.
_WIDENED = ("status_known", "settled_has_time", "one_size", "sale_in_base")

_CHECKS = {
    "type_known": "type IN ('MARKET', 'OCO', 'CANCEL')",
    "status_known": "status IN"
    " ('open', 'resting', 'filled', 'expired', 'rejected', 'never_sent', 'absent', 'cancelled')",
    "settled_has_time": "(status IN ('open', 'resting')) = (settled_at IS NULL)",
    "lists_rest": "status <> 'resting' OR type = 'OCO'",
    "lists_are_cancelled": "status <> 'cancelled' OR type <> 'MARKET'",
    "lists_never_expire": "status <> 'expired' OR type = 'MARKET'",
    "one_size": "num_nonnulls(quantity_base, quantity_quote) = (type <> 'CANCEL')::int",
    "sale_in_base": "side = 'BUY' AND type = 'MARKET' OR quantity_base IS NOT NULL OR type = 'CANCEL'",
    "lists_sell": "side = 'SELL' OR type = 'MARKET'",
    "list_has_prices": "num_nonnulls(take_profit_price, stop_loss_price) = (type = 'OCO')::int * 2",
    "list_brackets": "stop_loss_price < take_profit_price",
    "cancel_names_list": "(cancels_number IS NOT NULL) = (type = 'CANCEL')",
    "cancel_follows_list": "cancels_number < number",
    "cancel_executes_nothing": "executed_base = 0 OR type <> 'CANCEL'",
    "list_sells_its_size": "executed_base <= quantity_base OR type <> 'OCO'",
    "take_profit_price_positive": "take_profit_price > 0 AND take_profit_price < 'Infinity'",
    "stop_loss_price_positive": "stop_loss_price > 0 AND stop_loss_price < 'Infinity'",
}


def upgrade() -> None:
    for statement in _COLUMNS:
        op.execute(statement)
    dropped = ", ".join(f"DROP CONSTRAINT ck_orders_{name}" for name in _WIDENED)
    added = ", ".join(f"ADD CONSTRAINT ck_orders_{name} CHECK ({check})" for name, check in _CHECKS.items())
    op.execute(f"ALTER TABLE orders {dropped}")
    op.execute(f"ALTER TABLE orders {added}")
    op.execute(
        "ALTER TABLE orders ADD CONSTRAINT fk_orders_cancelled_list"
        " FOREIGN KEY (bot_id, cancels_number) REFERENCES orders (bot_id, number)"
    )
    op.execute("CREATE UNIQUE INDEX uq_orders_resting_bot_id ON orders (bot_id) WHERE status = 'resting'")


def downgrade() -> None:
    raise NotImplementedError("Restore a back-up instead: lists and cancels have no place in 0001.")
