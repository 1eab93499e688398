"""Litestar: REST, live status, and nothing that knows the actors."""
