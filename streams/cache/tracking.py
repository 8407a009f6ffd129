"""A connection that the server tells which keys have changed: ``CLIENT TRACKING ... BCAST``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.cache import keys

if TYPE_CHECKING:
    from redis import Redis

_PING_EVERY_S = 0.5  # a connection that is silent for so long is asked whether it still is one


class Tracking:
    """What is told of the keys of what is in force.

    Args:
        client: gives the connection, which is let go of by ``close``.
    """

    def __init__(self, client: Redis) -> None:
        pool: Any = client.connection_pool
        self._connection = pool.get_connection()
        self._stale: set[str | None] = set()
        parser = self._connection._parser  # noqa: SLF001 - redis-py has no public way to what a connection is told
        parser.set_invalidation_push_handler(lambda message: self._stale.update(message[1] or [None]))

    def begin(self) -> None:
        """From now on changes are told.

        Raises:
            RedisError: the server does not answer.
        """
        self._connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", keys.NOW)
        self._connection.read_response()

    def wait(self) -> set[str | None]:
        """Keys that have changed, when some have, at the latest after half a second; None among them: all.

        Raises:
            RedisError: the server does not answer.
        """
        if self._connection.can_read(timeout=_PING_EVERY_S):
            self._connection.read_response(push_request=True)
        self._connection.send_command("PING")  # its answer comes behind all that was invalidated until now
        self._connection.read_response()
        stale, self._stale = self._stale, set()
        return stale

    def close(self) -> None:
        """Let go of it."""
        self._connection.disconnect()
