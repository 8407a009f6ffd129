"""The embedded database: a PostgreSQL 18 primary and its streaming replica, on 127.0.0.1 only, for trying out and for tests.

    with EmbeddedDatabase(settings.folder("embedded", "database")) as database, database.supervised():
        connect(database.write_url), connect(database.read_url)

What is acknowledged to a writer is on both servers' disks (``in_step``), so either may be lost. When the primary ends, the
replica is promoted and the other one made anew from it. While there is only one server, from a promotion until the other is
back, an acknowledgement is of that one alone: better than no database, and said in the log.

    <folder>/passwords.json     of the superuser and the roles, 0600, made at the first start
    <place>/cluster.json        which server is the primary, written before it becomes it; the ports
    <place>/a, <place>/b        see ``database_node``
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote

import psycopg
import structlog
from pydantic import SecretStr

from streams.database import roles
from streams.database.connection import BoundedConnection, connect
from streams.database.heartbeat import Heartbeat
from streams.durable import private_folder, replace
from streams.embedded.database_node import DatabaseNode
from streams.embedded.kept import locked
from streams.embedded.ports import LOOPBACK
from streams.embedded.postgres import USER
from streams.embedded.unprivileged import place_for, server_user
from streams.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

NAME = "the embedded database"
LABELS = ("a", "b")
MEND_PERIOD_S = 0.05
STREAMING_TIMEOUT_S = 30.0
_PAUSE_S = 0.02
_BEAT_TIMEOUT_S = 3.0
_RETRY_S = 1.0  # after a server could not be started


class EmbeddedDatabase:
    """The pair. Calls come from any thread; one works on the servers at a time.

    Args:
        folder: for what it keeps; of no other server.
        durable: False leaves out every wait for the disk: what is acknowledged survives the end of processes, not of the machine.

    Attributes:
        primary, replica: the servers in their present parts.
        in_step: whether all that was ever acknowledged is on both.
        generation: counts promotions.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.place = folder
        self._durable = durable
        self.in_step = False
        self.generation = 0
        self._nodes: dict[str, DatabaseNode] = {}
        self._primary = LABELS[0]
        self._passwords: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._made = False  # roles and grants too
        self._work = threading.RLock()

    @property
    def primary(self) -> DatabaseNode:
        """Where writes go."""
        return self._nodes[self._primary]

    @property
    def replica(self) -> DatabaseNode:
        """What follows the primary, when it runs."""
        return self._nodes[LABELS[1 - LABELS.index(self._primary)]]

    @property
    def write_url(self) -> SecretStr:
        """For the role that writes, as ``M1CEP_DB_WRITE_URL`` has it: both servers, of which the primary is to be found."""
        return self._url(roles.LEDGER, "read-write", (self.primary, self.replica))

    @property
    def owner_url(self) -> SecretStr:
        """For the role that owns the tables, as ``M1CEP_DB_OWNER_URL`` has it."""
        return self._url(roles.OWNER, "read-write", (self.primary, self.replica))

    @property
    def read_url(self) -> SecretStr:
        """For the role that reads, as ``M1CEP_DB_READ_URL`` has it: both servers, of which the replica is to be found."""
        return self._url(roles.RISK, "standby", (self.replica, self.primary))

    def start(self) -> Self:
        """Start both servers, on what they kept before if there is any; returns when commits are on both.

        Raises:
            ServerError: as of :class:`EmbeddedPostgres`; nothing is left running.
        """
        try:
            user = server_user()
            private_folder(self.folder)
            self.place = place_for(self.folder, user)
            self._lock = locked(self.place, NAME)
            self._load()
            for label in LABELS:
                (self.place / label).mkdir(mode=0o711, exist_ok=True)
                (self.place / label).chmod(0o711)
            with self._work:
                self._start_primary()
                self._start_replica()
        except OSError as error:
            self.stop()
            raise ServerError(
                f"{NAME} cannot keep its data in {self.place}: {error.strerror or error}",
                "see to the disk's space and the folder's permissions, or use another folder (M1CEP_HOME)",
            ) from error
        except psycopg.Error as error:
            self.stop()
            raise ServerError(f"{NAME} cannot be set up: {type(error).__name__}: {error}") from error
        except BaseException:  # Ctrl-C too
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End both servers, the primary first: the replica has got everything then."""
        with self._work:
            if self._nodes:
                self.primary.stop()
                self.replica.stop()
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def promote(self) -> float:
        """Make the replica the primary; one that runs is stopped before. The other one is for :meth:`mend` to make anew.

        Returns:
            The seconds in which nothing could be written.

        Raises:
            ServerError: there is no replica that has all that was acknowledged; nothing was changed.
        """
        with self._work:
            old, new = self.primary, self.replica
            if not (self.in_step and new.alive()):
                raise ServerError(
                    f"{new.name} cannot be promoted: it does not have all that was acknowledged",
                    "wait until it has caught up with the primary; see the log",
                )
            began = time.monotonic()
            old.stop()
            # Written first: if we end here, the next start goes on where this one stopped.
            self._primary, self.in_step, self.generation = new.label, False, self.generation + 1
            self._save()
            self._promote_node(new)
            downtime_s = time.monotonic() - began
            log.warning(
                "the replica was promoted; until the other server is back, there is one copy of what is written",
                primary=new.label,
                port=new.port,
                downtime_ms=round(downtime_s * 1000),
            )
            return downtime_s

    def mend(self) -> str:
        """One look at both servers, and what has to be done about it.

        Returns:
            What was done: "promoted", "restarted the primary", "made the replica anew", "restarted the replica", or "".

        Raises:
            ServerError: it could not be done; to be tried again.
        """
        with self._work:
            if self._lock is None:
                return ""
            if not self.primary.alive():
                self.primary.stop()  # lets go of its lock
                if self.in_step and self.replica.alive():
                    self.promote()
                    return "promoted"
                self._start_primary()
                self._start_replica()
                return "restarted the primary"
            if not self.replica.alive() or not self.in_step:
                return self._start_replica()
            return ""

    @contextlib.contextmanager
    def supervised(self) -> Iterator[Self]:
        """Mend it, and keep the primary's heart beating, in threads of their own."""
        ended = threading.Event()

        def watch() -> None:
            pause_s = MEND_PERIOD_S
            while not ended.wait(pause_s):
                pause_s = MEND_PERIOD_S
                try:
                    if done := self.mend():
                        log.warning("mended the database", done=done)
                except (ServerError, psycopg.Error) as error:
                    if ended.is_set():
                        break
                    log.error("the database cannot be mended yet", error=str(error))  # noqa: TRY400 - one line says it
                    pause_s = _RETRY_S

        thread = threading.Thread(target=watch, name="m1cep-mend-database", daemon=True)
        thread.start()
        try:
            with Heartbeat(self._connect_writer):
                yield self
        finally:
            ended.set()
            while thread.is_alive():
                self.replica.give_up_copying()  # nobody who ends it waits for a large copy
                thread.join(_PAUSE_S)

    def _connect_writer(self) -> BoundedConnection:
        return connect(self.write_url.get_secret_value(), _BEAT_TIMEOUT_S)

    def _start_primary(self) -> None:
        node = self.primary
        if node.alive():
            return
        node.primary_port = None
        node.synchronous = self.replica.label if self.in_step else ""
        node.start()
        with self._admin(node) as admin:
            ((follows,),) = admin.execute("SELECT pg_is_in_recovery()").fetchall()
        if follows:  # a promotion that was begun and not finished
            self._promote_node(node)
        if not self._made:
            self._set_up()
        self._save()
        self._made = True

    def _set_up(self) -> None:
        with self._admin(self.primary) as admin:
            roles.make_roles(admin, {name: self._passwords[name] for name in roles.ROLES})
        with self._admin(self.primary, roles.DATABASE) as inside:
            roles.make_grants(inside)

    def _start_replica(self) -> str:
        """Have the replica run, follow, and be waited for."""
        node, done = self.replica, ""
        node.primary_port, node.synchronous = self.primary.port, ""
        if not node.alive():
            node.stop()  # lets go of its lock
            if node.is_made_for_its_part():
                try:
                    node.start()
                    done = "restarted the replica"
                except ServerError as error:
                    log.warning("the replica does not start and is made anew", error=str(error))
            if not node.alive():
                done = self._make_replica_anew()
        if not self._streams():
            done = self._make_replica_anew()
        self._fall_into_step()
        return done

    def _make_replica_anew(self) -> str:
        node = self.replica
        if self.in_step:
            log.warning("until the replica is back, there is one copy of what is written")
            self.in_step, self.primary.synchronous = False, ""
            self._save()
            self.primary.configure()
        node.stop()
        node.forget()
        node.start()
        if not self._streams():
            raise ServerError(f"{node.name} does not follow the primary", f"its log is {node.process.log_path}")
        return "made the replica anew"

    def _streams(self) -> bool:
        """Whether the replica gets the primary's WAL, or does so in a while."""
        deadline = time.monotonic() + STREAMING_TIMEOUT_S
        with self._admin(self.primary) as admin:
            while time.monotonic() < deadline:
                rows = admin.execute(
                    "SELECT FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'",
                    [self.replica.label],
                )
                if rows.fetchall():
                    return True
                if not self.replica.alive() or not self.primary.alive():
                    return False
                time.sleep(_PAUSE_S)
        return False

    def _fall_into_step(self) -> None:
        """From now on commits wait for the replica; and what was committed before is on it, too."""
        if self.in_step:
            return
        self.primary.synchronous = self.replica.label
        self.primary.configure()
        with self._admin(self.primary) as admin:
            self._until(admin, "SELECT current_setting('synchronous_standby_names') = %s", self.replica.label)
        # A new connection has read the settings, so the server has told the checkpointer, which has every commit wait, and which
        # reads them before it begins another checkpoint.
        with self._admin(self.primary) as admin:
            admin.execute("CHECKPOINT")
            ((position,),) = admin.execute("SELECT pg_current_wal_insert_lsn()").fetchall()
            self._until(
                admin,
                "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync' "
                "AND flush_lsn >= %s::pg_lsn)",
                self.replica.label,
                position,
            )
        self.in_step = True
        self._save()

    def _promote_node(self, node: DatabaseNode) -> None:
        node.primary_port, node.synchronous = None, ""
        node.configure()  # keeps the role that reads out from now on
        with self._admin(node) as admin:
            ((promoted,),) = admin.execute("SELECT pg_promote(true, 60)").fetchall()
            if not promoted:
                raise ServerError(f"{node.name} was not promoted within 60 s", f"its log is {node.process.log_path}")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [roles.RISK])
            admin.execute("SELECT pg_logical_emit_message(true, 'm1cep', 'promoted')")

    def _until(self, admin: BoundedConnection, question: Any, *values: object) -> None:
        deadline = time.monotonic() + STREAMING_TIMEOUT_S
        while admin.execute(question, values).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise ServerError(f"{self.replica.name} does not catch up", f"its log is {self.replica.place}")
            time.sleep(_PAUSE_S)

    @contextlib.contextmanager
    def _admin(self, node: DatabaseNode, database: str = "postgres") -> Iterator[BoundedConnection]:
        """A superuser's connection to one server."""
        url = node.url.get_secret_value().rpartition("/")[0] + f"/{database}"
        with contextlib.closing(connect(f"{url}?connect_timeout=5", answer_timeout_s=90.0)) as connection:
            yield connection

    def _url(self, role: str, session: str, nodes: tuple[DatabaseNode, DatabaseNode]) -> SecretStr:
        places = ",".join(f"{LOOPBACK}:{node.port}" for node in nodes)
        password = quote(self._passwords[role])
        return SecretStr(f"postgresql://{role}:{password}@{places}/{roles.DATABASE}?target_session_attrs={session}")

    def _load(self) -> None:
        """Passwords, ports and parts of the last time, or new ones."""
        path, cluster = self.folder / "passwords.json", self.place / "cluster.json"
        if path.exists():
            self._passwords = json.loads(path.read_text())
        elif cluster.exists():
            raise ServerError(
                f"{path} is gone, and nobody can be let in without it", f"put it back, or remove {cluster.parent}"
            )
        else:
            self._passwords = {name: secrets.token_urlsafe(24) for name in (USER, *roles.ROLES)}
            replace(path, json.dumps(self._passwords).encode())
        self._nodes = {
            label: DatabaseNode(self.place / label, label, self._passwords, self.place, durable=self._durable)
            for label in LABELS
        }
        self._made = cluster.exists()  # written when they are
        if self._made:
            kept = json.loads(cluster.read_text())
            self._primary, self.in_step, self.generation = kept["primary"], kept["in_step"], kept["generation"]
            for label, port in kept["ports"].items():
                self._nodes[label].port = port

    def _save(self) -> None:
        kept = {
            "primary": self._primary,
            "in_step": self.in_step,
            "generation": self.generation,
            "ports": {label: node.port for label, node in self._nodes.items()},
        }
        replace(self.place / "cluster.json", json.dumps(kept).encode())
