"""Watches, inside the database, who commits under which term: a superseded holder must never be among them.

Triggers of the watch note which replica got which term of a slot, and which session committed which version
of a bot under which term. Sessions carry their replica's name; those of the API and of people hold no slots.
"""

from sqlalchemy import text

from botwarden.persistence.database import Database

#: How the sessions that replicas trade with are called, but for their replica's name.
SESSION = "botwarden "


async def install(database: Database) -> None:
    """Watch from now on."""
    async with database.begin() as tx:
        for statement in _STATEMENTS:
            await tx.execute(text(statement))


async def superseded_commits(database: Database) -> int:
    """Return how many versions were committed by a replica to which the row's term had not been given."""
    async with database.read() as tx:
        return int((await tx.execute(_SUPERSEDED)).scalar_one())


async def commits_seen(database: Database) -> int:
    """Return how many commits of holders were looked at: a watch that saw nothing proves nothing."""
    async with database.read() as tx:
        return int((await tx.execute(_SEEN)).scalar_one())


_STATEMENTS = (
    "CREATE TABLE watch_terms (slot int, term bigint, replica text)",
    """
    INSERT INTO watch_terms
    SELECT slot, term, name FROM slots JOIN replicas ON replicas.id = slots.replica_id
    """,
    "CREATE TABLE watch_commits (bot_id bigint, version bigint, term bigint, session text)",
    """
    CREATE FUNCTION watch_term() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO watch_terms SELECT NEW.slot, NEW.term, name FROM replicas WHERE id = NEW.replica_id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION watch_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO watch_commits
        VALUES (NEW.bot_id, NEW.version, NEW.term, current_setting('application_name'));
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER watch_term AFTER UPDATE ON slots
    FOR EACH ROW WHEN (NEW.term > OLD.term) EXECUTE FUNCTION watch_term()
    """,
    """
    CREATE TRIGGER watch_commit AFTER UPDATE ON bot_states
    FOR EACH ROW WHEN (NEW.version > OLD.version) EXECUTE FUNCTION watch_commit()
    """,
)

#: Sessions of holders: `botwarden replica-1`, not `botwarden api`.
_OF_HOLDERS = f"c.session LIKE '{SESSION}%' AND c.session <> '{SESSION}api'"
_SEEN = text(f"SELECT count(*) FROM watch_commits c WHERE {_OF_HOLDERS}")  # noqa: S608 - a constant
_SUPERSEDED = text(f"""
    SELECT count(*) FROM watch_commits c
    WHERE {_OF_HOLDERS} AND NOT EXISTS (
        SELECT FROM watch_terms t
        WHERE t.slot = c.bot_id % 1024 AND t.term = c.term AND '{SESSION}' || t.replica = c.session
    )
""")  # noqa: S608 - a constant
