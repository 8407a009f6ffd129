"""One server of the embedded database: a primary or its streaming replica, with its settings in two files of their own.

<folder>/postgresql.conf    this start's settings; what initdb wrote into the data is not read
<folder>/pg_hba.conf        who may connect: the role that reads does not get into a primary
<folder>/replication.pass   libpq's password file for the replica's connection to the primary
<folder>/data, postgres.log
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from streams.database import roles
from streams.durable import sync_folder
from streams.embedded.ports import LOOPBACK
from streams.embedded.postgres import USER, EmbeddedPostgres, make_data
from streams.embedded.postgres_programs import postgres_programs
from streams.embedded.process import Process
from streams.embedded.unprivileged import server_user
from streams.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from streams.embedded.unprivileged import User

COPY_TIMEOUT_S = 600.0
_SCRAM = f"{LOOPBACK}/32 scram-sha-256"
_REPLICATION = f"host replication {roles.REPLICATION} {_SCRAM}"
_SUPERUSER = f"host all {USER} {_SCRAM}"
#: libpq stops at the first server that refuses a user, so writers looking for the primary must get into the replica, too.
_WRITERS = f"host {roles.DATABASE} {roles.OWNER},{roles.LEDGER} {_SCRAM}"
_PRIMARY_ACCESS = (f"host all {roles.RISK} all reject", _SUPERUSER, _WRITERS, _REPLICATION)
_REPLICA_ACCESS = (f"host {roles.DATABASE} {roles.RISK} {_SCRAM}", _SUPERUSER, _WRITERS, _REPLICATION)
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # The text of a statement that failed may hold what is nobody's business in a log.
    "log_min_error_statement": "panic",
    # Replication. The WAL that a replica still needs after it was away for a while is kept; one that needs more is made anew.
    "wal_level": "replica",
    "wal_keep_size": "256MB",
    "max_wal_senders": "10",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "100ms",
    "hot_standby": "on",
    # A long query on the replica may hold back what it answers others with for as long as this, then it is ended.
    "max_standby_streaming_delay": "500ms",
    "hot_standby_feedback": "on",
}


class DatabaseNode(EmbeddedPostgres):
    """A server of the pair.

    Args:
        folder: its own, in which another user can reach what it is permitted to.
        label: its name for the other server, "a" or "b".
        passwords: of the superuser and of ``streams.database.roles``; the same for both.
        programs: the folder for a copy of PostgreSQL's programs, where one is needed.
        durable: as of :class:`EmbeddedPostgres`.

    Attributes:
        primary_port: where the server listens that it follows; None: it follows none, it is the primary.
        synchronous: label of the replica that every commit waits for; empty: none.
    """

    def __init__(
        self, folder: Path, label: str, passwords: dict[str, str], programs: Path, *, durable: bool = True
    ) -> None:
        super().__init__(folder, durable=durable)
        self.name = f"the embedded database's server {label}"
        self.label = label
        self.primary_port: int | None = None
        self.synchronous = ""
        self._passwords = passwords
        self._program_place = programs
        self._copying: Process | None = None

    @property
    def data(self) -> Path:
        """PostgreSQL's own folder."""
        return self.place / "data"

    def is_made_for_its_part(self) -> bool:
        """Whether its data are those of a replica if it is to be one, of a primary otherwise."""
        return self.data.exists() and (self.data / "standby.signal").exists() == (self.primary_port is not None)

    def forget(self) -> None:
        """Remove its data: the next start makes them anew."""
        if self.alive():
            raise ServerError(f"{self.name} runs", "stop it first")
        shutil.rmtree(self.data, ignore_errors=True)

    def give_up_copying(self) -> None:
        """End a copy of the primary that another thread makes: its start fails then."""
        copy = self._copying  # the other thread may be done with it at any moment
        if copy is not None:
            copy.stop()

    def configure(self) -> None:
        """Write the settings of its present part, and have a running server read them."""
        self._write_files(server_user())
        if self.alive() and self.process.pid is not None:
            os.kill(self.process.pid, signal.SIGHUP)

    def _programs(self, user: User | None) -> Path:
        return postgres_programs(self._program_place, user)

    def _kept_password(self) -> str:
        return self._passwords[USER]

    def _options(self, user: User | None) -> dict[str, str]:
        self._write_files(user)
        return {"config_file": str(self.place / "postgresql.conf")}

    def _make_data(self, programs: Path, user: User | None) -> None:
        if self.primary_port is None:
            make_data(programs, self.place, user, self._password, durable=self.durable)
        else:
            self._copy_data(programs, user)

    def _copy_data(self, programs: Path, user: User | None) -> None:
        """Copy the primary's data while it runs, whole or not at all."""
        half = self.place / "data.new"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        if user is not None:
            os.chown(half, user.uid, user.gid)
        self._write_files(user)
        log_path = self.place / "basebackup.log"
        copy = Process("pg_basebackup", log_path, user=None if user is None else (user.uid, user.gid))
        self._copying = copy
        try:
            copy.start(
                [
                    *(programs / "pg_basebackup", "-D", half, "-d", self._primary_conninfo()),
                    *("--wal-method=stream", "--checkpoint=fast", "--no-password"),
                    *(() if self.durable else ("--no-sync",)),
                ],
            )
            if copy.wait(COPY_TIMEOUT_S) != 0:
                raise ServerError(f"{self.name} cannot copy the primary: {copy.last_words(1)}", f"see {log_path}")
        finally:
            self._copying = None
            copy.stop()
        (half / "standby.signal").touch(mode=0o600)
        if user is not None:
            os.chown(half / "standby.signal", user.uid, user.gid)
        half.replace(self.data)
        sync_folder(self.place)
        log_path.unlink(missing_ok=True)

    def _primary_conninfo(self) -> str:
        return make_conninfo(
            "",
            host=LOOPBACK,
            port=self.primary_port,
            user=roles.REPLICATION,
            passfile=str(self.place / "replication.pass"),
            application_name=self.label,
            connect_timeout=5,
        )

    def _write_files(self, user: User | None) -> None:
        settings = _SETTINGS | {
            "port": str(self.port),
            "fsync": "on" if self.durable else "off",
            "hba_file": str(self.place / "pg_hba.conf"),
            "cluster_name": self.label,
            "synchronous_standby_names": self.synchronous,
        }
        if self.primary_port is not None:
            settings["primary_conninfo"] = self._primary_conninfo()
        access = _PRIMARY_ACCESS if self.primary_port is None else _REPLICA_ACCESS
        _write(self.place / "postgresql.conf", [f"{name} = {_quoted(value)}" for name, value in settings.items()], user)
        _write(self.place / "pg_hba.conf", access, user)
        _write(
            self.place / "replication.pass",
            [f"*:*:*:{roles.REPLICATION}:{self._passwords[roles.REPLICATION]}"],
            user,
        )


def _quoted(value: str) -> str:
    """A value as postgresql.conf has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _write(path: Path, lines: list[str] | tuple[str, ...], user: User | None) -> None:
    """Put a file there for the server's user alone. Whole: the server may be reading it."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join((*lines, "")))
        if user is not None:
            os.fchown(descriptor, user.uid, user.gid)
    half.replace(path)
