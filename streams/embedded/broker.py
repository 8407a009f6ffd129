"""The embedded broker: Tansu, a Kafka-compatible broker in one small executable, on 127.0.0.1 only.

It keeps everything in memory and forgets it when it ends; it knows no idempotent or transactional producer and neither
retention nor compaction. It is for trying out and for tests; production runs Apache Kafka.

    with EmbeddedBroker(settings.folder("embedded")) as broker:     # a free port
        KafkaProducer(bootstrap_servers=broker.address, acks="all", enable_idempotence=False)
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Self

import structlog

from streams.embedded.executable import tansu_executable
from streams.embedded.ports import LOOPBACK, accepts, any_free_port, free_port_from
from streams.embedded.process import Process
from streams.embedded.server import EmbeddedServer
from streams.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger(__name__)

READY_TIMEOUT_S = 20.0  # it takes 20 ms; a machine that is busy with other things may take its time
START_ATTEMPTS = 3


class EmbeddedBroker(EmbeddedServer):
    """A broker of our own.

    Args:
        folder: private folder for its log and, where needed, the copy of its executable.
        port: the port to listen on; the next free one when it is taken. None: any free port.

    Attributes:
        cluster_id: new at every start, as the broker's memory is; clients can see it in the cluster's metadata.
    """

    name = "the embedded broker"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self.cluster_id = ""

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        """Start the broker and return when it answers Kafka requests.

        Raises:
            ServerError: no executable, no free port, or the broker ended at once; nothing is left running.
        """
        if self.alive():
            raise ServerError(f"{self.name} is running already, at {self.address}", "stop it first")
        program = tansu_executable(self.folder)
        for attempt in range(1, START_ATTEMPTS + 1):
            self.port = any_free_port() if self.port_asked is None else free_port_from(self.port_asked)
            if self.port_asked not in (None, self.port):
                log.warning("the broker's port is taken, using another", asked=self.port_asked, port=self.port)
            try:
                self._start_on_port(program)
                break
            except ServerError:
                # Somebody else may have taken the port since we looked: then, and only then, try another.
                if attempt == START_ATTEMPTS or "AddrInUse" not in self.process.last_words(20):
                    raise
        return self

    def stop(self) -> None:
        """End the broker, and with it everything that it holds."""
        if self._process is not None:
            self._process.stop()
            if self.port_asked is None and self.returncode == 0:
                # Nobody could find it again, and every start would leave one more.
                self._process.log_path.unlink(missing_ok=True)

    def _start_on_port(self, program: Path) -> None:
        self.cluster_id = f"m1cep-{uuid.uuid4()}"
        process = Process(self.name, self.folder / f"broker-{self.port}.log")
        self._process = process
        url = f"tcp://{self.address}"
        process.start(
            [
                *(program, "broker", "--cluster-id", self.cluster_id, "--storage-engine", "memory://m1cep/"),
                *("--listener-url", url, "--advertised-listener-url", url),
            ],
            # A small environment: Tansu takes options, a schema registry for one, from variables.
            env={"PATH": os.environ.get("PATH", os.defpath), "NO_COLOR": "1"},
        )
        try:
            process.wait_ready(self._answers, READY_TIMEOUT_S)
        except BaseException:  # Ctrl-C too
            process.stop()
            raise

    def _answers(self) -> bool:
        """Whether the broker answers a Kafka metadata request, and it is ours and no other on this port."""
        if not accepts(self.port):
            return False
        # Imported here: it takes 0.3 s that the program's start can hide.
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            admin = KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=2000, request_timeout_ms=3000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["cluster_id"] == self.cluster_id)
        except KafkaError:
            return False
        finally:
            admin.close()
