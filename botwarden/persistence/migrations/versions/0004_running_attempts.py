"""Running attempts.

A request that no single transaction holds says so beside its Idempotency-Key, for as long as it runs.

Revision: 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN running_until timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys DROP COLUMN running_until")
