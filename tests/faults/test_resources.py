"""What a worker stands on fails: a sink that is slow, a broker that pauses, a disk that is full, a clock that is wrong."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest
from faults import load
from faults.harness import until

pytestmark = pytest.mark.faults

#: An alert for each order: ten times as much to write as the suite's rules make.
EVERY = {"every": "SELECT account, event_id, order_id, symbol, action, side, price, qty FROM orders WHERE qty >= 0"}


def _memory_mb(pid):
    fields = Path(f"/proc/{pid}/status").read_text()
    return int(fields.split("VmRSS:")[1].split()[0]) / 1024


def test_a_slow_sink_slows_the_worker_and_does_not_fill_its_memory(kafka, workers, rules):
    """Each write takes 300 ms, longer than a heartbeat's interval; 60 MB of alerts wait to be written."""
    for file in rules.iterdir():
        file.unlink()
    (rules / "every.sql").write_text(EVERY["every"])
    kafka.send([r for r in load.make(160_000, 41).records if r.stream == "orders"])
    worker = workers(sabotage=["snapshot-every=0.2", "session=1", "slow-sink=0.3"])
    before_mb, most_mb, most_unacknowledged, left = _memory_mb(worker.pid), 0.0, 0, len(kafka.sent)
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        assert worker.ready(), worker.said()
        most_mb = max(most_mb, _memory_mb(worker.pid))
        most_unacknowledged = max(most_unacknowledged, worker.stats["unacknowledged"])
        left = sum(worker.stats["lag"].values())
        time.sleep(0.05)
    print(f"{before_mb:.0f} MB, at most {most_mb:.0f} MB, {most_unacknowledged} unacknowledged, lag {left}")
    assert left > 0, "it was through before the sink could hold it back"
    assert most_unacknowledged < 5_000
    assert most_mb - before_mb < 128
    assert worker.said().count("worker.ready") == 1, "it lost its partitions: heartbeats did not go on"
    worker.kill()


def test_a_broker_that_pauses_for_longer_than_the_session(kafka, workers, finished):
    one, two, three = load.make(40_000, 42).portions(3)
    kafka.send(one)
    worker = workers()
    kafka.send(two)
    until(lambda: worker.stats["events"] > 0, 30, worker.said)
    pid = kafka.broker.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(3)
    finally:
        os.kill(pid, signal.SIGCONT)
    kafka.send(three)
    finished(worker)


def test_a_disk_that_is_full_stops_snapshots_but_not_alerts(kafka, workers, finished):
    """
    room      ──┐ full: EFBIG on every file beyond 8 KiB           ┌── room again
    events    ──┴── processed, alerts written, nothing committed ──┴── saved, committed
    """
    one, two, three = load.make(40_000, 43).portions(3)
    kafka.send(one)
    worker = workers()
    until(lambda: kafka.all_committed(worker), 30, worker.said)
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (8192, hard))
    alerts = worker.stats["alerts"]
    kafka.send(two)
    until(lambda: worker.stats["snapshot_failures"] > 4 and worker.stats["alerts"] > alerts, 30, worker.said)
    assert worker.ready()
    assert "cannot be written" in worker.said()
    assert kafka.committed() == len(one)
    resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (hard, hard))
    until(lambda: kafka.all_committed(worker), 30, worker.said)
    worker.kill()  # what it goes on from is what was saved when there was room again
    kafka.send(three)
    finished(workers())


def test_clocks_that_are_an_hour_off_change_nothing(kafka, workers, finished):
    """Event time is what rules know; what the worker does by the clock goes by one that only ever runs on."""
    one, two = load.make(20_000, 44).portions(2)
    kafka.send(one)
    wrong = workers(sabotage=["snapshot-every=0.2", "session=1", "clock=3600"])
    until(lambda: kafka.all_committed(wrong), 30, wrong.said)
    wrong.kill()
    kafka.send(two)
    finished(workers("--idle-timeout-ms", 100, sabotage=["session=1", "clock=-3600"]))


def test_a_database_that_is_down_stops_snapshots_but_not_alerts(kafka, workers, finished, database):
    """The snapshots are in PostgreSQL, which is stopped and started again."""
    one, two, three = load.make(30_000, 45).portions(3)
    state = {"M1CEP_STATE_URL": database.url.get_secret_value()}
    kafka.send(one)
    worker = workers(**state)
    until(lambda: kafka.all_committed(worker), 30, worker.said)
    database.stop()
    alerts = worker.stats["alerts"]
    kafka.send(two)
    until(lambda: worker.stats["snapshot_failures"] and worker.stats["alerts"] > alerts, 30, worker.said)
    assert worker.ready()
    assert kafka.committed() == len(one)
    database.start()
    until(lambda: kafka.all_committed(worker), 30, worker.said)
    worker.kill()
    kafka.send(three)
    last = workers(**state)
    finished(last)
    assert "partition.restored" in last.said()
    assert database.url.get_secret_value().split(":")[2].split("@")[0] not in worker.said() + last.said()


@pytest.mark.slow
def test_a_broker_that_is_started_again(apache_kafka, workers, finished):
    """Only on Apache Kafka: the embedded broker forgets everything, and the worker ends and says so."""
    one, two, three = load.make(30_000, 46).portions(3)
    apache_kafka.send(one)
    worker = workers("--broker-timeout", 60, "--session-timeout", 6, sabotage=["snapshot-every=0.2"])
    apache_kafka.send(two)
    until(lambda: worker.stats["events"] > 0, 30, worker.said)
    apache_kafka.broker.stop()
    apache_kafka.broker.start()
    apache_kafka.send(three)
    finished(worker)
