"""The journal's tests may ask for a PostgreSQL server of their own."""

from tests.postgres import postgres_server

__all__ = ["postgres_server"]
