"""Late finds.

Orders that were given up are looked for by their time. A list that is found late may rest beside a bot
that is flat: then it is taken off.

Revision: 0003, after 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_orders_given_up ON orders (settled_at)"
        " WHERE executed_base = 0 AND status IN ('absent', 'expired', 'cancelled')"
    )
    op.execute("ALTER TABLE bot_states DROP CONSTRAINT ck_bot_states_resting_list_protects")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE bot_states ADD CONSTRAINT ck_bot_states_resting_list_protects"
        " CHECK (resting_list_number IS NULL OR in_position)"
    )
    op.execute("DROP INDEX ix_orders_given_up")
