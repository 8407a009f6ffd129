"""Connections that do not wait for ever, and that do not take for replicated what may not be.

A frozen server and a cut cable answer with nothing, not with an error; and a COMMIT whose wait for the synchronous replica
was cancelled answers with success and a warning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import psycopg

from streams.database.addresses import owner_address, reader_address, writer_address

if TYPE_CHECKING:
    from psycopg.abc import RV, PQGen
    from psycopg.errors import Diagnostic

    from streams.config import Settings

ANSWER_TIMEOUT_S = 12.0
#: PostgreSQL's function that waits for the replica: warnings from it mean that the wait ended early. Their text is translated.
_WAIT_FOR_REPLICA = "SyncRepWaitForLSN"


class NoAnswerError(psycopg.OperationalError):
    """The server took too long. Whether the statement was carried out is not known."""


class NotReplicatedError(psycopg.OperationalError):
    """The transaction is committed on the primary, and perhaps nowhere else: do not acknowledge it; repeat it by its id."""


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of which every wait ends.

    Attributes:
        answer_timeout_s: of one wait for the server; :class:`NoAnswerError` then, and the connection is of no use any more.
    """

    answer_timeout_s: float = ANSWER_TIMEOUT_S
    #: psycopg reads a connection's notices while it waits: the wait itself looks whether there was one.
    _unreplicated: str = ""

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        result: RV = super().wait(_in_time(gen, self.answer_timeout_s), *args, **kwargs)
        if self._unreplicated:
            reason, self._unreplicated = self._unreplicated, ""
            raise NotReplicatedError(reason)
        return result

    def hear(self) -> Self:
        """From now on, take a commit that was not replicated for an error."""
        self.add_notice_handler(self._heard)
        return self

    def _heard(self, notice: Diagnostic) -> None:
        if notice.source_function == _WAIT_FOR_REPLICA:
            self._unreplicated = str(notice.message_primary)


def connect_writer(settings: Settings, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> BoundedConnection:
    """To the primary, as the role that writes; each statement is a transaction unless one is opened.

    Raises:
        UsageError: as :func:`writer_address`.
        psycopg.OperationalError: no server, or none of them can be written to.
    """
    return connect(writer_address(settings), answer_timeout_s).hear()


def connect_owner(settings: Settings, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> BoundedConnection:
    """To the primary, as the role that owns the tables. Raises as :func:`connect_writer`."""
    return connect(owner_address(settings), answer_timeout_s).hear()


def connect_reader(settings: Settings, *, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> BoundedConnection:
    """To a replica, as the role that reads. Raises as :func:`connect_writer`."""
    return connect(reader_address(settings), answer_timeout_s)


def connect(address: str, answer_timeout_s: float = ANSWER_TIMEOUT_S) -> BoundedConnection:
    """To any PostgreSQL, in autocommit; no prepared statements, which poolers on the way may not keep."""
    connection = BoundedConnection.connect(address, autocommit=True, prepare_threshold=None)
    connection.answer_timeout_s = answer_timeout_s
    return connection


def _in_time(steps: PQGen[RV], timeout_s: float) -> PQGen[RV]:
    """The same steps; psycopg comes back from each wait at least every 0.1 s, whether there is something or not."""
    deadline = time.monotonic() + timeout_s
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > deadline:
                raise NoAnswerError(f"it did not answer within {timeout_s:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result
