"""The ground.

Every table, the rows that are always there (installation, slots), the clock of `bot_states`, and the first
partitions of the audit trail.

Revision: 0001, after nothing.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Only the database sets `last_updated_at`: with each version, and always later than before.
_CLOCK = """
    CREATE FUNCTION bot_states_touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.last_updated_at := clock_timestamp();
        ELSIF NEW.version <> OLD.version THEN
            NEW.last_updated_at := greatest(
                clock_timestamp(), OLD.last_updated_at + interval '1 microsecond');
        ELSE
            NEW.last_updated_at := OLD.last_updated_at;
        END IF;
        RETURN NEW;
    END $$
"""
_CLOCK_RUNS = """
    CREATE TRIGGER bot_states_touch BEFORE INSERT OR UPDATE ON bot_states
    FOR EACH ROW EXECUTE FUNCTION bot_states_touch()
"""

# Later ones are made by `persistence.events`.
_PARTITIONS = """
    DO $$
    DECLARE
        today date := (now() AT TIME ZONE 'utc')::date;
        day date;
    BEGIN
        FOR day IN SELECT today + ahead FROM generate_series(-1, 3) AS ahead LOOP
            EXECUTE format(
                'CREATE TABLE bot_events_%s PARTITION OF bot_events FOR VALUES FROM (%L) TO (%L)',
                to_char(day, 'YYYYMMDD'),
                day::timestamp AT TIME ZONE 'utc',
                (day + 1)::timestamp AT TIME ZONE 'utc');
        END LOOP;
    END $$
"""


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text("utf-8").split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute("INSERT INTO installation (tag) VALUES (left(gen_random_uuid()::text, 6))")
    op.execute("INSERT INTO slots (slot) SELECT generate_series(0, 1023)")
    op.execute(_CLOCK)
    op.execute(_CLOCK_RUNS)
    op.execute(_PARTITIONS)
    op.execute("CREATE TABLE bot_events_default PARTITION OF bot_events DEFAULT")


def downgrade() -> None:
    raise NotImplementedError("There is nothing below the ground: drop the database instead.")
