"""Servers that we start ourselves, on 127.0.0.1, from executables that come as wheels; for trying out and for tests."""

from streams.embedded.broker import EmbeddedBroker
from streams.embedded.cache import EmbeddedCache
from streams.embedded.database import EmbeddedDatabase
from streams.embedded.postgres import EmbeddedPostgres
from streams.embedded.process import Process

__all__ = ["EmbeddedBroker", "EmbeddedCache", "EmbeddedDatabase", "EmbeddedPostgres", "Process"]
