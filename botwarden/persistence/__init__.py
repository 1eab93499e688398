"""PostgreSQL and Redis: the only importer of sqlalchemy, asyncpg and redis; and the vault for secrets."""
