"""One node of Apache Kafka (KRaft: broker and controller in one process) on 127.0.0.1, for the tests.

    with KafkaServer(tmp_path) as server:
        KafkaProducer(bootstrap_servers=server.address)                  # plaintext, may do everything
        server.listeners["SASL_SSL"]                                     # port of TLS with SCRAM, PLAIN and OAUTHBEARER
        server.listeners["SSL"]                                          # port of TLS with client certificates
    server.listeners["ELSEWHERE"]                                    # plaintext, and sends clients on to kafka.invalid

It has the surface of ``EmbeddedBroker`` (address, port, process, start, stop). Stopped and started again it keeps its port
and what it holds, unlike that one.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from typing import TYPE_CHECKING, Self

from apache_kafka import jars
from streams.embedded.ports import LOOPBACK, accepts, is_free
from streams.embedded.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apache_kafka.certificates import Certificates

CLEAR_TIMEOUT_S = 20.0
READY_TIMEOUT_S = 90.0  # 4 s on an idle machine
_CLUSTER_ID = "bTFjZXAtdGVzdHMtMDAwMQ"  # 16 bytes in URL-safe base64
# Started often and short-lived: the quick compiler and the simple collector, and a heap that two cores' machines have.
_JVM = ("-Xms128m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
_TLS_LISTENERS = ("SASL_SSL", "SSL")


class KafkaServer:
    """A broker of our own.

    Args:
        folder: for its data, configuration and log.
        certificates: of its TLS listeners; None: it has none.
        users: SCRAM and PLAIN users with their passwords.
        properties: further broker settings.
    """

    def __init__(
        self,
        folder: Path,
        certificates: Certificates | None = None,
        users: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.certificates = certificates
        self.java, self.classpath = jars.java(), jars.classpath()
        names = ("PLAINTEXT", "ELSEWHERE", "CONTROLLER", *(_TLS_LISTENERS if certificates else ()))
        self.listeners = dict(zip(names, _free_ports(), strict=False))
        self.process = Process("Apache Kafka", folder / "kafka.log", grace_s=10)
        self._users = users or {}
        self._config = folder / "server.properties"
        self._config.write_text(self._properties(certificates, properties or {}))
        self._log4j = folder / "log4j2.yaml"
        self._log4j.write_text(_LOG4J)
        self._format()

    @property
    def port(self) -> int:
        return self.listeners["PLAINTEXT"]

    @property
    def address(self) -> str:
        """``host:port`` of the plaintext listener, whose clients may do everything."""
        return f"{LOOPBACK}:{self.port}"

    def at(self, listener: str) -> str:
        """``host:port`` of a listener."""
        return f"{LOOPBACK}:{self.listeners[listener]}"

    def start(self) -> Self:
        """Start, and return when it answers Kafka requests."""
        self.process.start(self._command("kafka.Kafka", str(self._config)), env=_environment())
        try:
            self.process.wait_ready(self._answers, READY_TIMEOUT_S)
        except BaseException:
            self.process.stop()
            raise
        return self

    def stop(self) -> None:
        self.process.stop()

    def clear(self) -> None:
        """Delete every grant and every topic, and with them what groups have committed."""
        from kafka import KafkaAdminClient

        from apache_kafka import grants

        admin = KafkaAdminClient(bootstrap_servers=self.address)
        topics = [name for name in admin.list_topics() if not name.startswith("__")]
        if topics:
            admin.delete_topics(topics)
            deadline = time.monotonic() + CLEAR_TIMEOUT_S
            # The broker learns of it after the controller; until then the topics look as if they were still there.
            while set(topics) & set(admin.list_topics()):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Kafka still has deleted topics after {CLEAR_TIMEOUT_S:g} s")
                time.sleep(0.02)
        grants.revoke_all(admin)
        admin.close()

    def alive(self) -> bool:
        return self.process.alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _command(self, main: str, *arguments: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={self._log4j}"
        return [self.java, *_JVM, log4j, "-cp", self.classpath, main, *arguments]

    def _format(self) -> None:
        """Make the data folder, with the users in it."""
        scram = [
            option
            for name, password in self._users.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for option in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
        command = self._command("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._config))
        done = subprocess.run(
            [*command, "--standalone", *scram], capture_output=True, text=True, env=_environment(), check=False
        )
        if done.returncode:
            raise RuntimeError(f"Kafka's data folder cannot be made: {done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        try:
            admin = KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=2000, request_timeout_ms=3000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()

    def _properties(self, certificates: Certificates | None, more: dict[str, str]) -> str:
        on = ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in self.listeners.items())
        protocols = "PLAINTEXT:PLAINTEXT,ELSEWHERE:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL"
        hosts = dict.fromkeys(self.listeners, LOOPBACK) | {"ELSEWHERE": "kafka.invalid"}
        seen = ",".join(f"{n}://{hosts[n]}:{port}" for n, port in self.listeners.items() if n != "CONTROLLER")
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": self.at("CONTROLLER"),
            "controller.listener.names": "CONTROLLER",
            "listeners": on,
            "advertised.listeners": seen,
            "listener.security.protocol.map": protocols,
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",  # as it should be in production: a mistyped name must not make a topic
            "message.max.bytes": str(4 << 20),  # the tests send oversized events: what is refused here proves nothing
            "default.replication.factor": "1",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": str(8 << 20),
            # Principals without a right of their own may do nothing; the plaintext listener is the administrator's.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            **(certificates.broker_settings(self._users) if certificates else {}),
            **more,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def _free_ports() -> Iterator[int]:
    """Different ports that are free, below those that systems give to connections: a stopped broker's stays its own."""
    candidates = random.sample(range(20_000, 32_000), 1000)
    return (port for port in candidates if is_free(port))


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath)}


_LOG4J = """
Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout: {pattern: "%d{HH:mm:ss,SSS} %p %c{1} %m%n"}
  Loggers:
    Root:
      level: warn
      AppenderRef: {ref: out}
"""
