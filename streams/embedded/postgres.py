"""The embedded PostgreSQL 18, on 127.0.0.1 only; what it keeps outlives it, in a folder of its own.

    with EmbeddedPostgres(settings.folder("embedded", "postgres")) as server:     # a free port
        psycopg.connect(server.url.get_secret_value())

    <folder>/password       of the user m1cep, 0600, made at the first start
    <folder>/data           PostgreSQL's own, of the user that it runs as
    <folder>/postgres.log   of the last start

Root cannot run PostgreSQL: then another user does (``unprivileged``), and if it cannot reach the folder, all of this is below
/var/lib/m1cep (``place`` says where). Data and WAL are as a server of one's own has them, so that a streaming replica can follow:
``wal_level`` replica, and connections for replication with the same password.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import quote

from pydantic import SecretStr

from streams.durable import private_folder, replace, sync_folder
from streams.embedded.kept import kept_password, locked
from streams.embedded.ports import LOOPBACK, any_free_port, is_free
from streams.embedded.postgres_programs import postgres_programs
from streams.embedded.process import Process
from streams.embedded.server import EmbeddedServer
from streams.embedded.unprivileged import User, place_for, server_user
from streams.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

USER = "m1cep"
DATABASE = "postgres"
NAME = "the embedded PostgreSQL"
READY_TIMEOUT_S = 60.0  # of a start after a crash, which reads the WAL again
INITDB_TIMEOUT_S = 120.0  # it takes 2 s; most of it waits for the disk
GRACE_S = 15.0  # a fast shutdown ends transactions and writes all to the disk
_RETRY_S = 0.2


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL of our own.

    Args:
        folder: for what it keeps; of no other server.
        port: the port to listen on. None: any free port, and the same one at later starts.
        durable: False leaves out every wait for the disk: what is committed survives the end of processes, not of the machine.

    Attributes:
        place: where it keeps what it keeps, once started: the folder, or one in its stead when we are root.
    """

    name = NAME

    def __init__(self, folder: Path, port: int | None = None, *, durable: bool = True) -> None:
        super().__init__(folder, port)
        self.place = folder
        self.durable = durable
        self._password = ""
        self._lock: IO[str] | None = None

    @property
    def url(self) -> SecretStr:
        """For clients, with the password."""
        return SecretStr(f"postgresql://{USER}:{quote(self._password)}@{LOOPBACK}:{self.port}/{DATABASE}")

    def start(self) -> Self:
        """Start the server, on what it kept before if there is any, and return when it answers.

        Raises:
            ServerError: not installed, the folder cannot be written or is in use, the port is taken, there is no user to run
                it as, or it ended at once; nothing is left running.
        """
        if self.alive():
            raise ServerError(f"{self.name} is running already, on port {self.port}", "stop it first")
        if self.port_asked is not None and not is_free(self.port_asked):
            raise ServerError(
                f"port {self.port_asked} on {LOOPBACK} is taken", "end what listens there, or use another"
            )
        user = server_user()
        try:
            private_folder(self.folder)
            self.place = place_for(self.folder, user)
            self._lock = locked(self.place, self.name)
            programs = self._programs(user)
            self._password = self._kept_password()
            if not (self.place / "data").exists():
                self._make_data(programs, user)
            self._launch(programs, user)
        except OSError as error:
            self.stop()
            raise ServerError(
                f"{self.name} cannot keep its data in {self.place}: {error.strerror or error}",
                "see to the disk's space and the folder's permissions, or use another folder (M1CEP_HOME)",
            ) from error
        except BaseException:  # Ctrl-C too
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server: open transactions are rolled back, all that was committed is on the disk."""
        if self._process is not None:
            self._process.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _launch(self, programs: Path, user: User | None) -> None:
        """Start it, again and again while only the port or the end of the former server stands in the way."""
        deadline = time.monotonic() + GRACE_S
        while _runs(self.place / "data" / "postmaster.pid") and time.monotonic() < deadline:
            time.sleep(
                _RETRY_S
            )  # both would write over each other's lines in the log, and why one ended could not be read
        while True:
            self.port = self._free_port()
            try:
                self._launch_once(programs, user)
            except ServerError:
                said = self.process.last_words(20)
                # The server of an owner that was killed is still on its way down, or somebody took the free port.
                former = 'lock file "postmaster.pid" already exists' in said
                taken = self.port_asked is None and "Address already in use" in said
                if not (former or taken) or time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    def _launch_once(self, programs: Path, user: User | None) -> None:
        log_path = self.place / "postgres.log"
        log_path.touch(mode=0o600)
        process = Process(
            self.name,
            log_path,
            grace_s=GRACE_S,
            stop_signal=signal.SIGINT,  # PostgreSQL's "fast" shutdown; SIGTERM would wait for its clients
            user=None if user is None else (user.uid, user.gid),
        )
        self._process = process
        options = self._options(user)
        process.start(
            [
                *(programs / "postgres", "-D", self.place / "data"),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
        )
        process.wait_ready(self._answers, READY_TIMEOUT_S)

    def _programs(self, user: User | None) -> Path:
        """The folder of PostgreSQL's programs."""
        return postgres_programs(self.place, user)

    def _kept_password(self) -> str:
        """The password of the user m1cep."""
        return kept_password(self.place / "password", made_for=self.place / "data")

    def _make_data(self, programs: Path, user: User | None) -> None:
        """Make the data folder, whole or not at all."""
        make_data(programs, self.place, user, self._password, durable=self.durable)

    def _options(self, user: User | None) -> dict[str, str]:  # noqa: ARG002 - servers of other kinds write files for it
        """Settings that the server is started with."""
        return {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self.durable else "off",
        }

    def _free_port(self) -> int:
        """The port that was asked for; else the one of before, for clients that wait for it; else any."""
        if self.port_asked is not None:
            return self.port_asked
        return self.port if self.port and is_free(self.port) else any_free_port()

    def _answers(self) -> bool:
        """Whether it lets us in. With SCRAM it proves, too, that it knows the password: it is ours and no other."""
        import psycopg

        try:
            psycopg.connect(self.url.get_secret_value(), connect_timeout=2, require_auth="scram-sha-256").close()
        except psycopg.Error:
            return False
        return True


def _runs(pid_file: Path) -> bool:
    """Whether the server that wrote the file still runs."""
    try:
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), 0)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def make_data(programs: Path, place: Path, user: User | None, password: str, *, durable: bool = True) -> None:
    """Make the data folder, whole or not at all."""
    half = place / "data.new"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    secret = place / "password.new"  # for initdb alone, which may run as another user
    log_path = place / "initdb.log"
    process = Process("initdb", log_path, user=None if user is None else (user.uid, user.gid))
    try:
        replace(secret, password.encode())
        if user is not None:
            for path in (half, secret):
                os.chown(path, user.uid, user.gid)
        process.start(
            [
                *(programs / "initdb", "--pgdata", half, "--username", USER, "--pwfile", secret),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"),
                *(() if durable else ("--no-sync",)),
            ],
        )
        if process.wait(INITDB_TIMEOUT_S) != 0:
            raise ServerError(f"no PostgreSQL can be made in {place}: initdb said {process.last_words(1)}")
    finally:
        process.stop()
        secret.unlink(missing_ok=True)
    half.replace(place / "data")
    sync_folder(place)  # what is committed in it must not be taken for half made after a crash
    log_path.unlink(missing_ok=True)
