"""How far a replica is behind, and what to do about it: wait for what was just written, or refuse to answer from old data.

The age of a replica is the time since the newest commit that it has carried out was made on the primary. An idle primary
makes none: its heartbeat does (:mod:`streams.database.heartbeat`), so a replica is never younger than the last beat that
reached it. The clocks of the two machines are compared: keep them in step (NTP), their difference is part of the age.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import psycopg
import structlog
from prometheus_client import Gauge

from streams.database.connection import connect
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.database.connection import BoundedConnection

    Connection = psycopg.Connection[tuple[Any, ...]]

log = structlog.get_logger(__name__)

LIMIT_S = 1.0
PERIOD_S = 0.1
ANSWER_TIMEOUT_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.02

LAG = Gauge(
    "m1cep_replica_lag_seconds", "Age of what the replica answers with, by the heartbeat of the primary.", ["shard"]
)

# In bytes since the first one of the WAL: an integer, unlike pg_lsn, can be compared by whoever carries it along.
_POSITION = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"
_REPLAYED = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END"
_AGE = """
SELECT CASE WHEN pg_is_in_recovery()
            THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
"""


_REMEDY = (
    "see to the replica, its connection to the primary, and the agent ledger, which beats the primary's heart; "
    "commands read what is older with --max-age-s"
)


class StaleError(ServerError):
    """The replica is too far behind, or cannot be reached: whoever depends on it is unavailable.

    Attributes:
        lag_s: how far, in seconds; infinite when nobody knows.
    """

    def __init__(self, message: str, lag_s: float) -> None:
        super().__init__(message, _REMEDY)
        self.lag_s = lag_s


def wal_position(writer: Connection) -> int:
    """The position in the primary's WAL after what the connection has committed, in bytes: for :func:`wait_replayed`."""
    ((position,),) = writer.execute(_POSITION).fetchall()
    return int(position)


def wait_replayed(reader: Connection, position: int, timeout_s: float) -> None:
    """Wait until the replica has carried out the WAL up to the position: what was committed before it can be read then.

    Raises:
        StaleError: it has not after the time, or the server is no replica.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        ((replayed,),) = reader.execute(_REPLAYED).fetchall()
        if replayed is not None and replayed >= position:
            return
        if replayed is None or time.monotonic() > deadline:
            behind = "is no replica" if replayed is None else f"is {position - replayed} bytes of WAL behind"
            raise StaleError(f"the server that is read {behind} after {timeout_s:g} s", math.inf)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def staleness_s(reader: Connection) -> float:
    """Age of what the replica answers with, in seconds; infinite when it does not know or is no replica any more."""
    ((age_s,),) = reader.execute(_AGE).fetchall()
    return math.inf if age_s is None else max(0.0, float(age_s))


def require_fresh(reader: Connection, limit_s: float) -> None:
    """Ask the server that is read, now, how old its data are; do nothing while they may be believed.

    A server that follows nobody is taken for the primary, which is never behind.

    Raises:
        StaleError: they are older than the limit.
    """
    ((follows,),) = reader.execute("SELECT pg_is_in_recovery()").fetchall()
    if follows:
        _believe(staleness_s(reader), limit_s)


def _believe(lag_s: float, limit_s: float) -> None:
    if not lag_s <= limit_s:  # a limit that is no number lets nothing through
        age = "of unknown age" if math.isinf(lag_s) else f"{lag_s:.1f} s old"
        raise StaleError(f"the replica's data are {age}, expected at most {limit_s:g} s", lag_s)


class ReplicaWatch:
    """Knows how old the replica's answers are, without asking it when the question comes. Use as a context manager.

    Args:
        address: gives the replica's connection string (:func:`~streams.database.addresses.reader_address`); asked at each
            connection.
        limit_s: what is older is stale.
        period_s: between two looks.
        shard: of the ledger, by which the gauge tells replicas apart.
    """

    def __init__(
        self, address: Callable[[], str], limit_s: float = LIMIT_S, period_s: float = PERIOD_S, shard: int = 0
    ) -> None:
        self.limit_s = limit_s
        self._gauge = LAG.labels(str(shard))
        self._gauge.set(math.inf)
        self._address = address
        self._period_s = period_s
        self._seen = (math.inf, 0.0)  # the age, and our clock when we asked for it
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="m1cep-replica-watch", daemon=True)

    def lag_s(self) -> float:
        """Age now: what it was when the replica last said so, and the time since then."""
        age_s, asked_at = self._seen
        return age_s + (time.monotonic() - asked_at)

    def fresh(self) -> bool:
        """Whether the replica may be believed."""
        return self.lag_s() <= self.limit_s

    def require_fresh(self) -> None:
        """Do nothing while the replica may be believed.

        Raises:
            StaleError: it may not.
        """
        _believe(self.lag_s(), self.limit_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; returns when the connection is closed."""
        self._ended.set()
        self._thread.join()
        self._gauge.set(math.inf)

    def _run(self) -> None:
        connection: BoundedConnection | None = None
        lost = False
        while True:
            try:
                connection = connection or connect(self._address(), ANSWER_TIMEOUT_S)
                asked_at = time.monotonic()
                age_s = staleness_s(connection)
                if math.isfinite(age_s):
                    self._seen, lost = (age_s, asked_at), False
                else:
                    connection.close()  # promoted, or nothing replayed yet: look for another
                    connection = None
            except psycopg.Error as error:
                if not lost:
                    log.warning("the replica does not say how old its data are", error=type(error).__name__)
                lost = True
                if connection is not None:
                    connection.close()
                connection = None
            self._gauge.set(self.lag_s())
            if self._ended.wait(self._period_s):
                break
        if connection is not None:
            connection.close()
