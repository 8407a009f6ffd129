"""The broker and the workers of a test, as it sees them."""

import json
import os
import signal
import time
from pathlib import Path

from faults import oracle
from faults.load import PARTITIONS, STREAMS
from kafka import KafkaConsumer, TopicPartition
from topics_read import read_topic

from streams.config import load_settings
from streams.files import load_streams
from streams.producer import Producer
from streams.topics import create_topics

#: So many times longer than on a quiet machine may everything take; only who fails waits for it.
PATIENCE = 4
ALERTS, DEAD_LETTERS, LATE = "m1cep.alerts.v1", "m1cep.dead-letters.v1", "m1cep.late.v1"


class Kafka:
    """The broker of one test, with all topics; what was sent to it is remembered for the oracle."""

    def __init__(self, broker):
        self.broker = broker
        self.address = broker.address
        self.sent = []
        self.streams = load_streams()
        settings = load_settings(broker=broker.address)
        create_topics(settings)
        self.producer = Producer(settings.client_settings(), self.streams)
        self._group = KafkaConsumer(bootstrap_servers=self.address, group_id="m1cep-risk", enable_auto_commit=False)

    def send(self, records):
        """Write records and wait until they are there."""
        for r in records:
            self.producer.send(r.stream, r.value, r.key)
        self.producer.flush()
        self.sent += records

    def read(self, topic):
        """Every record that the topic holds now."""
        return read_topic(self.address, topic)

    def committed(self):
        """Positions of the group over all topics and partitions."""
        parts = [TopicPartition(self.streams[name].topic, p) for name in STREAMS for p in range(PARTITIONS)]
        return sum(self._group.committed(tp) or 0 for tp in parts)

    def close(self):
        self._group.close(autocommit=False)
        self.producer.close()

    def all_committed(self, *alive):
        """Whether everything that was sent is processed, saved and committed, by workers that are all alive."""
        for worker in alive:
            assert worker.status is None, f"it ended with {worker.status}\n{worker.said()}"
        return self.committed() == len(self.sent)

    def compare(self, rules):
        """Hold the alerts against the oracle; how many came more than once."""
        return oracle.compare([r.value for r in self.read(ALERTS)], oracle.expected(self.sent, rules))


def environment(**settings):
    """That of a process: no settings but these."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("M1CEP_")}
    return ours | {"NO_COLOR": "1", "COLUMNS": "200"} | settings


def logged(nursery, arguments, env, log, sabotage):
    """A process with its log in a file, and nothing to be read on stdout."""
    with log.open("a") as file, Path(os.devnull).open("w") as nothing:
        return nursery.start(arguments, env=env, stdout=nothing, stderr=file, sabotage=sabotage)


class Worker:
    """A worker process, with its stats file."""

    def __init__(self, process, stats_path, log):
        self._process = process
        self.pid = process.pid
        self.stats_path = stats_path
        self.log = log

    @property
    def status(self):
        """How it ended; None while it runs."""
        return self._process.poll()

    @property
    def stats(self):
        try:
            return json.loads(self.stats_path.read_text())["agents"]["risk"]
        except FileNotFoundError:
            return {"ready": False, "state": "starting", "events": 0, "assigned": [], "lag": {}, "unacknowledged": 0}

    def said(self):
        """Its log."""
        return self.log.read_text() if self.log.exists() else ""

    def signal(self, number):
        os.kill(self.pid, number)

    def ended(self, timeout_s=20):
        """Wait for the end; the exit status."""
        return until(lambda: (s := self.status) is not None and (s,), timeout_s, self.said)[0]

    def stop(self):
        """A clean end."""
        self.signal(signal.SIGTERM)
        status = self.ended()
        # A process that has not come to listen for the signal yet ends as any other.
        assert status == 0 or (status == -signal.SIGTERM and not self.said()), f"it ended with {status}\n{self.said()}"

    def kill(self):
        if self.status is None:
            self.signal(signal.SIGKILL)
        self.ended()

    def ready(self):
        assert self.status is None, self.said()
        return self.stats["ready"]


def until(condition, timeout_s=60, explain=lambda: ""):
    """Wait for a condition and return its value."""
    deadline = time.monotonic() + timeout_s * PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"the condition did not come true in {timeout_s * PATIENCE} s\n{explain()}"
        time.sleep(0.02)
    return value
