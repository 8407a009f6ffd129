"""The primary's heartbeat: a tiny transaction now and then, so that a replica of an idle primary can be told from a lost one.

It writes one record to the WAL and no table: nothing grows, nothing is to be tidied up. Replicas learn its time of commit
(``pg_last_xact_replay_timestamp``), which is what :func:`streams.database.replica.staleness_s` reads.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import psycopg
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    Connection = psycopg.Connection[tuple[Any, ...]]

log = structlog.get_logger(__name__)

PERIOD_S = 0.2
END_TIMEOUT_S = 1.0
#: Not "on": a beat that waits for the replica would be one that nobody sees when it matters.
_SESSION = "SET synchronous_commit = local"
_BEAT = "SELECT pg_logical_emit_message(true, 'm1cep', '')"


class Heartbeat:
    """A thread that beats until it is closed, on a new connection whenever one is lost. Use as a context manager.

    Args:
        connect: to the primary, as the role that writes, by a connection of which every wait ends.
        period_s: between two beats.
    """

    def __init__(self, connect: Callable[[], Connection], period_s: float = PERIOD_S) -> None:
        self._connect = connect
        self._period_s = period_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="m1cep-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it. Where the server does not answer, the thread is left to end by itself."""
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        connection: Connection | None = None
        lost = False
        while not self._ended.wait(self._period_s):
            try:
                if connection is None:
                    connection = self._connect()
                    connection.execute(_SESSION)
                connection.execute(_BEAT)
                if lost:
                    log.info("the primary can be written to again")
                lost = False
            except psycopg.Error as error:
                if not lost:
                    log.warning("the primary cannot be written to", error=type(error).__name__)
                lost = True
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()
