"""Deleted bots.

A watcher that comes back is told which bots were deleted meanwhile.

Revision: 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE deleted_bots (
            bot_id bigint NOT NULL CONSTRAINT pk_deleted_bots PRIMARY KEY,
            user_id bigint NOT NULL,
            deleted_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX ix_deleted_bots_user_id_deleted_at ON deleted_bots (user_id, deleted_at)")


def downgrade() -> None:
    op.execute("DROP TABLE deleted_bots")
